import QuicTransport
import Simulation
import Testing

@Suite("Address validation")
struct AddressValidationTests {
  /// The types of long-header packets (RFC 9000 §17.2) in the order in which they were sent.
  private func isRetry(_ datagram: SimDatagram) -> Bool {
    datagram.bytes[0] & 0xf0 == 0xf0
  }

  @Test("Retry costs one round trip and keeps nothing on the server until the client returns")
  func retry() throws {
    let world = try World { $0.server.retry = .always }
    var retries = 0
    var connectionsAtRetry = 0
    world.network.onSend = { datagram in
      guard isRetry(datagram) else { return }
      retries += 1
      connectionsAtRetry = world.server.connectionCount
    }
    let (client, _) = try world.connect()
    #expect(retries == 1 && connectionsAtRetry == 0)
    #expect(client.readyAt == SimLoop.start + .milliseconds(20))
    #expect(world.accepted.count == 1)
  }

  @Test("a token from the first connection spares the second one the Retry")
  func newToken() throws {
    let world = try World { $0.server.retry = .always }
    let first = try world.connect()
    world.loop.run(for: .seconds(1))
    first.client.connection?.close(code: 0, reason: "")
    world.loop.run(for: .seconds(1))
    var retries = 0
    world.network.onSend = { if isRetry($0) { retries += 1 } }
    let started = world.loop.now
    let second = try world.connect()
    #expect(retries == 0)
    #expect(second.client.readyAt == started + .milliseconds(10))
  }

  @Test("a token is used once")
  func tokenOnce() throws {
    let world = try World { $0.server.retry = .always }
    _ = try world.connect()
    world.loop.run(for: .seconds(1))
    var retries = 0
    world.network.onSend = { if isRetry($0) { retries += 1 } }
    let second = try world.dial()
    let third = try world.dial()
    world.wait { second.isReady && third.isReady }
    #expect(retries == 1)
  }

  @Test("a token of another server run is not believed and does no harm")
  func foreignToken() throws {
    let world = try World { $0.server.retry = .always }
    _ = try world.connect()
    world.loop.run(for: .seconds(1))
    try world.restartServer()
    var retries = 0
    world.network.onSend = { if isRetry($0) { retries += 1 } }
    #expect(try world.connect().client.isReady)
    #expect(retries == 1)
  }

  @Test("a token from another address is not believed")
  func stolenToken() throws {
    let world = try World { $0.server.retry = .always }
    _ = try world.connect()
    world.loop.run(for: .seconds(1))
    world.clientSocket.rebind(to: SocketAddress.otherHost.with(port: 50_000))
    var retries = 0
    world.network.onSend = { if isRetry($0) { retries += 1 } }
    #expect(try world.connect().client.isReady)
    #expect(retries == 1)
  }

  @Test("256 unfinished handshakes turn Retry on, and their maximum turns strangers away")
  func underLoad() throws {
    let world = try World {
      $0.server.handshakesMax = 300
      $0.transport { $0.handshakeTimeout = .seconds(20) }
    }
    // Few from each source, since a source with many has to prove its address before.
    var endpoints: [EndpointCore] = []
    var flood: [ConnectionProbe] = []
    for host in 0..<16 {
      flood += try strangers(16, from: host, in: world, keeping: &endpoints)
    }
    world.loop.run(for: .milliseconds(50))
    #expect(world.server.connectionCount == 256)
    var retries = 0
    world.network.onSend = { if isRetry($0) { retries += 1 } }
    for host in 16..<26 {
      flood += try strangers(10, from: host, in: world, keeping: &endpoints)
    }
    world.loop.run(for: .milliseconds(50))
    // Nobody answers the Retry, so nobody else got in.
    #expect(retries >= 100)
    #expect(world.server.connectionCount == 256)
    // An honest client that answers gets in.
    let honest = try EndpointCore(
      loop: world.loop, settings: World.settings(.fixture(3), acceptsConnections: false))
    honest.add(world.network.bind(.otherHost))
    let probe = ConnectionProbe(loop: world.loop)
    let target = ConnectTarget(
      address: world.serverSocket.localAddress,
      expectedPeer: World.serverIdentity.publicKey, serverName: nil)
    probe.watch(try honest.connect(to: target, delegate: probe))
    world.wait(.seconds(2)) { probe.isReady }
    world.wait(.seconds(30)) { flood.allSatisfy(\.isClosed) }
    world.wait(.seconds(30)) { world.server.connectionCount <= 1 }
  }

  @Test("a newcomer gets in within a second while 10,000 forged Initials come each second")
  func forgedInitials() throws {
    let world = try World { $0.server.retry = .always }
    let head: [UInt8] = [0xc1, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0x44, 0x9e]
    let initial = head + [UInt8](repeating: 7, count: 1_200 - head.count)
    var forged: UInt32 = 0
    func send(_ milliseconds: Int) {
      for _ in 0..<milliseconds {
        for _ in 0..<10 {
          forged += 1
          let address = SocketAddress(ipv4: 0x1000_0000 + forged, port: 4_000)
          world.network.inject(initial, from: address, to: world.serverSocket.localAddress)
        }
        world.loop.run(for: .milliseconds(1))
      }
    }
    send(200)
    // At moments that have nothing to do with the slices of time that the server thinks in.
    for pause in [0, 70, 90] {
      send(pause)
      let newcomer = try world.dial()
      let began = world.loop.now
      while !newcomer.isReady, world.loop.now - began < .seconds(2) { send(10) }
      #expect(world.loop.now - began <= .milliseconds(500))
    }
  }

  @Test("whoever comes by a carrier over TCP has proved his address already")
  func provenSource() throws {
    for isProven in [false, true] {
      let world = try World()
      world.serverSocket.provesSource = isProven
      var endpoints: [EndpointCore] = []
      let clients = try strangers(20, from: 1, in: world, keeping: &endpoints)
      world.loop.run(for: .milliseconds(50))
      #expect(world.server.connectionCount == (isProven ? 20 : 16))
      #expect(world.server.handshakeCount == (isProven ? 20 : 16))
      #expect(clients.count == 20)
    }
  }

  /// Clients behind one address that the server's answers never reach.
  private func strangers(
    _ count: Int, from host: Int, in world: World, keeping endpoints: inout [EndpointCore]
  ) throws -> [ConnectionProbe] {
    var settings = World.settings(World.clientIdentity, acceptsConnections: false)
    settings.transport.handshakeTimeout = .seconds(20)
    let address = SocketAddress(ipv4: 0xcb00_7140 + UInt32(host), port: 0)
    world.network.link(from: .serverHost, to: address).settings.isBlackhole = true
    let endpoint = try EndpointCore(loop: world.loop, settings: settings)
    endpoint.add(world.network.bind(address))
    endpoints.append(endpoint)
    let target = ConnectTarget(
      address: world.serverSocket.localAddress,
      expectedPeer: World.serverIdentity.publicKey, serverName: nil)
    return try (0..<count).map { _ in
      let probe = ConnectionProbe(loop: world.loop)
      probe.watch(try endpoint.connect(to: target, delegate: probe))
      return probe
    }
  }

  @Test("a handshake that failed counts as unfinished until the server has forgotten it")
  func failedHandshakes() throws {
    let world = try World {
      $0.server.handshakesMax = 5
      $0.client.applicationProtocols = ["other/1"]
    }
    let flood = try (0..<20).map { _ in try world.dial() }
    world.loop.run(for: .milliseconds(50))
    #expect(flood.filter(\.isClosed).count == 5)
    #expect(world.server.connectionCount == 5)
    world.wait { world.server.connectionCount == 0 && flood.allSatisfy(\.isClosed) }
    // All of them were forgotten: there is room for five again.
    let more = try (0..<20).map { _ in try world.dial() }
    world.loop.run(for: .milliseconds(50))
    #expect(more.filter(\.isClosed).count == 5)
  }

  @Test("an Initial to an ID that is too short is dropped, whatever token it carries")
  func shortDestination() throws {
    let world = try World()
    let start: [UInt8] = [0xc0, 0, 0, 0, 1, 0, 0, 4, 1, 2, 3, 4, 0x44, 0x00]
    let initial = start + [UInt8](repeating: 9, count: 1_200 - start.count)
    world.network.inject(
      initial, from: .otherHost.with(port: 7_777), to: world.serverSocket.localAddress)
    world.loop.run(for: .milliseconds(50))
    #expect(world.accepted.isEmpty)
  }

  @Test("before the client's address is proven the server sends at most three times what it got")
  func amplification() throws {
    let world = try World()
    var received = 0
    var sent = 0
    world.network.onSend = { datagram in
      if datagram.from.with(port: 0) == .serverHost {
        sent += datagram.bytes.count
      } else {
        received += datagram.bytes.count
      }
    }
    world.network.link(from: .serverHost, to: .clientHost).settings.isBlackhole = true
    let client = try world.dial()
    world.loop.run(for: .milliseconds(10))
    // The client repeats itself; only what it sent counts, and the server repeats itself too.
    world.loop.run(for: .seconds(20))
    #expect(client.error == .handshakeTimeout)
    #expect(sent > 0 && sent <= 3 * received)
  }
}
