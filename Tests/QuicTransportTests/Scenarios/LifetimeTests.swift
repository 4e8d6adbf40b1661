import QuicTransport
import Simulation
import Testing

@Suite("Lifetime of a connection")
struct LifetimeTests {
  @Test("silence ends it on both sides after the idle timeout")
  func idleTimeout() throws {
    let world = try World { $0.transport { $0.idleTimeout = .seconds(5) } }
    let (client, server) = try world.connect()
    world.loop.run(for: .seconds(1))
    world.network.configure(.serverHost, .clientHost) { $0.isBlackhole = true }
    world.loop.run(for: .seconds(3))
    #expect(!client.isClosed && !server.isClosed)
    world.loop.run(for: .seconds(3))
    #expect(client.error == .idleTimeout && server.error == .idleTimeout)
    #expect(world.server.connectionCount == 0 && world.client.connectionCount == 0)
  }

  @Test("a server that turns a client away before its first packet says nothing and lives")
  func closedBeforeFirstPacket() throws {
    let world = try World()
    var turnedAway = 0
    world.server.onIncoming = { connection in
      turnedAway += 1
      connection.close(code: 1, reason: "not you")
    }
    let client = try world.dial()
    world.loop.run(for: .seconds(1))
    #expect(turnedAway > 0 && world.server.connectionCount == 0)
    #expect(!client.isReady && client.error == nil)
  }

  @Test("whom the endpoint does not admit costs nothing and hears nothing")
  func notAdmitted() throws {
    let world = try World()
    var asked = 0
    world.server.admits = { _ in
      asked += 1
      return asked > 2
    }
    let client = try world.dial()
    world.loop.run(for: .milliseconds(500))
    #expect(world.accepted.isEmpty && world.server.connectionCount == 0 && client.error == nil)
    // Its next attempt may find room.
    world.wait { client.isReady }
  }

  @Test("the smaller of both sides' idle timeouts counts")
  func smallerIdleTimeout() throws {
    let world = try World {
      $0.client.transport.idleTimeout = .seconds(3)
      $0.server.transport.idleTimeout = .seconds(60)
    }
    let (client, server) = try world.connect()
    world.loop.run(for: .seconds(5))
    #expect(client.error == .idleTimeout && server.error == .idleTimeout)
  }

  @Test("keep-alive holds an unused connection open")
  func keepAlive() throws {
    let world = try World {
      $0.transport { $0.idleTimeout = .seconds(5) }
      $0.client.transport.keepAliveInterval = .seconds(2)
    }
    let (client, server) = try world.connect()
    world.loop.run(for: .seconds(120))
    #expect(!client.isClosed && !server.isClosed)
  }

  @Test("an idle timeout of zero never ends it")
  func noIdleTimeout() throws {
    let world = try World { $0.transport { $0.idleTimeout = .zero } }
    let (client, server) = try world.connect()
    world.loop.run(for: .seconds(30 * 24 * 3_600))
    #expect(!client.isClosed && !server.isClosed)
    let stream = try client.open()
    stream.send(10, of: Pattern(seed: 1), finishing: true)
    world.wait { server.opened.first?.sawEnd == true }
  }

  @Test("the application's close code and reason reach the peer")
  func applicationClose() throws {
    let world = try World()
    let (client, server) = try world.connect()
    client.connection?.close(code: 42, reason: "grüße")
    world.wait { server.isClosed && client.isClosed }
    #expect(client.error == .application(code: 42, isRemote: false, reason: "grüße"))
    #expect(server.error == .application(code: 42, isRemote: true, reason: "grüße"))
  }

  @Test("a reason too long for one packet is cut between two characters, and arrives")
  func longReason() throws {
    let world = try World()
    let (client, server) = try world.connect()
    client.connection?.close(code: 42, reason: "x" + String(repeating: "ü", count: 5_000))
    world.wait(.seconds(1)) { server.isClosed }
    let cut = "x" + String(repeating: "ü", count: 255)
    #expect(server.error == .application(code: 42, isRemote: true, reason: cut))
  }

  @Test("a close packet that was lost is repeated when the peer goes on talking")
  func lostClose() throws {
    let world = try World()
    let (client, server) = try world.connect()
    let near = try client.open()
    near.send(1_000, of: Pattern(seed: 1), finishing: false)
    world.wait { server.opened.first?.received == 1_000 }
    world.network.link(from: .serverHost, to: .clientHost).settings.isBlackhole = true
    server.connection?.close(code: 7, reason: "")
    world.loop.run(for: .milliseconds(1))
    world.network.link(from: .serverHost, to: .clientHost).settings.isBlackhole = false
    near.send(100, of: Pattern(seed: 1), finishing: false)
    world.wait(.seconds(1)) { client.isClosed }
    #expect(client.error == .application(code: 7, isRemote: true, reason: ""))
  }

  @Test("closing an endpoint tells every peer, drains and releases the sockets")
  func endpointClose() throws {
    let world = try World()
    let first = try world.connect()
    let second = try world.connect()
    world.server.close(code: 1, reason: "maintenance")
    world.wait { first.client.isClosed && second.client.isClosed }
    let expected = QuicError.application(code: 1, isRemote: true, reason: "maintenance")
    #expect(first.client.error == expected && second.client.error == expected)
    world.wait(.seconds(5)) { world.server.connectionCount == 0 }
    #expect(world.server.localAddresses.isEmpty)
    #expect(world.client.connectionCount == 0 || world.loop.runUntilIdle(within: .seconds(5)))
  }

  @Test("everything that ends at once ends in the order in which it began")
  func orderOfEnding() throws {
    let world = try World()
    let peers = try (0..<8).map { _ in try world.connect() }
    for peer in peers {
      let streams = try (0..<20).map { _ in try peer.client.open() }
      for stream in streams { stream.send(10, of: Pattern(seed: 1), finishing: false) }
    }
    world.loop.run(for: .seconds(1))
    var closed: [ObjectIdentifier] = []
    for peer in peers {
      for stream in peer.server.opened { stream.onClosed = { closed.append(ObjectIdentifier($0)) } }
    }
    world.server.close(code: 1, reason: "")
    world.loop.run(for: .seconds(1))
    #expect(closed == peers.flatMap { $0.server.opened.map { ObjectIdentifier($0) } })
  }

  @Test("closing an endpoint without connections releases the sockets at once")
  func idleEndpointClose() throws {
    let world = try World()
    world.server.close(code: 0, reason: "")
    #expect(world.server.localAddresses.isEmpty)
  }

  @Test("an endpoint that nobody holds any more releases its socket when it has closed")
  func releasedWhileClosing() throws {
    let world = try World()
    let socket = world.network.bind(.otherHost)
    var endpoint: EndpointCore? = try EndpointCore(
      loop: world.loop, settings: World.settings(.fixture(3), acceptsConnections: false))
    endpoint?.add(socket)
    let probe = ConnectionProbe(loop: world.loop)
    let target = ConnectTarget(
      address: world.serverSocket.localAddress,
      expectedPeer: World.serverIdentity.publicKey, serverName: nil)
    _ = try endpoint?.connect(to: target, delegate: probe)
    world.wait { probe.isReady }
    endpoint?.close(code: 0, reason: "")
    weak let closing = endpoint
    endpoint = nil
    world.wait { probe.isClosed }
    world.loop.run(for: .seconds(5))
    #expect(closing == nil)
    let delivered = world.network.deliveredCount
    world.network.inject([1], from: .clientHost, to: socket.localAddress)
    world.loop.run(for: .seconds(1))
    #expect(world.network.deliveredCount == delivered, "the socket is still bound")
  }

  @Test("a closed endpoint accepts nobody")
  func closedEndpointAcceptsNobody() throws {
    let world = try World { $0.client.transport.handshakeTimeout = .seconds(1) }
    _ = try world.connect()
    world.server.close(code: 0, reason: "")
    let late = try world.dial()
    world.wait { late.isClosed }
    #expect(late.error == .handshakeTimeout)
    #expect(world.accepted.count == 1)
  }

  @Test("a server that restarted with the same reset key is noticed within a round trip")
  func statelessReset() throws {
    let key = SecretBytes([UInt8](repeating: 5, count: 32))
    let world = try World { $0.server.resetKey = key }
    let (client, _) = try world.connect()
    world.loop.run(for: .seconds(1))
    try world.restartServer()
    let started = world.loop.now
    try client.open().send(5_000, of: Pattern(seed: 1), finishing: true)
    world.wait { client.isClosed }
    #expect(client.error == .statelessReset)
    #expect(world.loop.now - started <= .milliseconds(15))
    #expect(try world.connect().client.isReady)
  }

  @Test("a stranger with another reset key cannot end a connection")
  func foreignReset() throws {
    let world = try World { $0.transport { $0.idleTimeout = .seconds(5) } }
    let (client, _) = try world.connect()
    world.loop.run(for: .seconds(1))
    try world.restartServer()
    try client.open().send(5_000, of: Pattern(seed: 1), finishing: true)
    world.loop.run(for: .seconds(2))
    #expect(!client.isClosed)
    world.wait { client.isClosed }
    #expect(client.error == .idleTimeout)
  }

  @Test("a farewell that finds a full socket leaves when there is room")
  func closeWhileBlocked() throws {
    let world = try World()
    let (client, server) = try world.connect()
    world.loop.run(for: .seconds(1))
    // No packet of the server's asks for the farewell once more.
    world.network.link(from: .serverHost, to: .clientHost).settings.isBlackhole = true
    world.clientSocket.block(for: .milliseconds(20))
    // This one the socket keeps; the farewell behind it has no place.
    try client.connection?.sendDatagram([1, 2, 3])
    world.loop.run(for: .milliseconds(1))
    #expect(world.clientSocket.isBlocked)
    client.connection?.close(code: 5, reason: "done")
    world.wait(.seconds(1)) { server.error != nil }
    #expect(server.error == .application(code: 5, isRemote: true, reason: "done"))
    #expect(server.datagrams == [[1, 2, 3]])
  }
}
