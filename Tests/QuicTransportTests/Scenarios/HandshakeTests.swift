import QuicTransport
import Simulation
import Testing

@Suite("Handshake")
struct HandshakeTests {
  @Test("a target without an identity is not dialled: anybody could answer")
  func noExpectation() throws {
    let world = try World()
    let target = ConnectTarget(
      address: world.serverSocket.localAddress, expectedPeer: nil, serverName: "name")
    #expect(throws: QuicError.self) { try world.dial(target) }
    #expect(world.client.connectionCount == 0)
  }

  @Test("takes exactly one round trip on the client and one and a half on the server")
  func virtualTime() throws {
    let world = try World { $0.link = LinkSettings(latency: .milliseconds(5)) }
    let (client, server) = try world.connect()
    #expect(client.readyAt == SimLoop.start + .milliseconds(10))
    #expect(server.readyAt == SimLoop.start + .milliseconds(15))
  }

  @Test("a spoilt copy ahead of the first packet, in the same tick, costs nothing")
  func spoiltFirst() throws {
    let world = try World { $0.link = LinkSettings(latency: .milliseconds(5)) }
    var hasSpoilt = false
    world.network.onSend = { [weak network = world.network] datagram in
      guard !hasSpoilt else { return }
      hasSpoilt = true
      var copy = datagram.bytes
      copy[copy.count - 1] ^= 1
      network?.inject(copy, from: datagram.from, to: datagram.to)
    }
    let (client, _) = try world.connect()
    #expect(client.readyAt == SimLoop.start + .milliseconds(10))
    world.loop.run(for: .seconds(1))
    #expect(world.server.connectionCount == 1)
    #expect(world.accepted.count == 2 && world.accepted[0].isClosed)
  }

  @Test("both sides prove their identities and agree on protocol, version, cipher and exporter")
  func agreement() throws {
    let world = try World()
    let (client, server) = try world.connect()
    let one = try #require(client.connection)
    let other = try #require(server.connection)
    #expect(one.peer == World.serverIdentity.publicKey)
    #expect(other.peer == World.clientIdentity.publicKey)
    #expect(one.applicationProtocol == "qtun/1" && other.applicationProtocol == "qtun/1")
    #expect(one.version == .v1 && other.version == .v1)
    #expect(one.cipherName == "AES-128-GCM")
    let secret = one.exportKeyingMaterial(label: "EXPORTER-test", context: [1, 2], count: 32)
    #expect(secret?.count == 32)
    #expect(
      secret == other.exportKeyingMaterial(label: "EXPORTER-test", context: [1, 2], count: 32))
    #expect(
      secret != other.exportKeyingMaterial(label: "EXPORTER-test", context: [1, 3], count: 32))
  }

  @Test("fails after the handshake timeout when nothing answers")
  func timeout() throws {
    let world = try World {
      $0.link.isBlackhole = true
      $0.transport { $0.handshakeTimeout = .seconds(3) }
    }
    let client = try world.dial()
    world.wait { client.isClosed }
    #expect(client.error == .handshakeTimeout)
    #expect(client.closedAt == SimLoop.start + .seconds(3))
    #expect(world.client.connectionCount == 0)
  }

  @Test("survives loss of every second datagram", arguments: Seeds.all)
  func heavyLoss(seed: UInt64) throws {
    let world = try World {
      $0.seed = seed
      $0.link.lossRate = 0.5
      $0.transport {
        $0.handshakeTimeout = .seconds(3_600)
        $0.idleTimeout = .zero
      }
    }
    let client = try world.dial()
    // Timeouts double; a long run of losses makes the next try a late one.
    world.wait(.seconds(3_600)) { client.isReady && world.accepted.contains(where: \.isReady) }
  }

  @Test("peers without a common application protocol both hear protocolMismatch")
  func applicationProtocolMismatch() throws {
    let world = try World { $0.client.applicationProtocols = ["other/1"] }
    let client = try world.dial()
    world.wait { client.isClosed && world.accepted.first?.isClosed == true }
    #expect(client.error == .protocolMismatch)
    #expect(world.accepted.first?.error == .protocolMismatch)
  }

  @Test("a server with another identity is refused, and both keys are named")
  func identityMismatch() throws {
    let world = try World()
    let expected = Identity.fixture(9)
    let client = try world.dial(expecting: expected)
    world.wait { client.isClosed && world.accepted.first?.isClosed == true }
    #expect(
      client.error
        == .identityMismatch(
          expected: expected.publicKey, actual: World.serverIdentity.publicKey))
    #expect(client.readyAt == nil)
    guard case .rejectedByPeer = world.accepted.first?.error else {
      Issue.record("the server heard \(String(describing: world.accepted.first?.error))")
      return
    }
  }

  @Test("a client whose identity is not on the list hears rejectedByPeer")
  func clientRefused() throws {
    let world = try World()
    world.server.acceptsPeer = { $0 != World.clientIdentity.publicKey }
    let client = try world.dial()
    world.wait { client.isClosed && world.accepted.first?.isClosed == true }
    guard case .rejectedByPeer = client.error else {
      Issue.record("the client heard \(String(describing: client.error))")
      return
    }
    guard case .peerRejected(let reason) = world.accepted.first?.error else {
      Issue.record("the server says \(String(describing: world.accepted.first?.error))")
      return
    }
    #expect(reason.contains(World.clientIdentity.publicKey.description))
    #expect(world.accepted.first?.readyAt == nil)
  }
}
