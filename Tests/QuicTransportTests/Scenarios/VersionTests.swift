import QuicTransport
import Simulation
import Testing

@Suite("QUIC versions")
struct VersionTests {
  @Test("a client may start with version 2")
  func version2() throws {
    let world = try World {
      $0.server.transport.versions = [.v2, .v1]
      $0.client.transport.initialVersion = .v2
    }
    let (client, server) = try world.connect()
    #expect(client.connection?.version == .v2 && server.connection?.version == .v2)
  }

  @Test("a server upgrades a client to the version it prefers, without another round trip")
  func upgrade() throws {
    let world = try World { $0.transport { $0.versions = [.v2, .v1] } }
    let (client, server) = try world.connect()
    #expect(client.connection?.version == .v2 && server.connection?.version == .v2)
    #expect(client.readyAt == SimLoop.start + .milliseconds(10))
  }

  @Test("a client without a common version hears what the server offers")
  func mismatch() throws {
    let world = try World {
      $0.server.transport.versions = [.v1]
      $0.client.transport.versions = [.v2]
      $0.client.transport.initialVersion = .v2
    }
    let client = try world.dial()
    world.wait { client.isClosed }
    guard case .versionMismatch(let offered) = client.error else {
      Issue.record("the client heard \(String(describing: client.error))")
      return
    }
    #expect(offered.contains(QuicVersion.v1.number))
    #expect(!offered.contains(QuicVersion.v2.number))
  }

  @Test("an unknown version is answered by Version Negotiation, smaller than what it answers")
  func unknownVersion() throws {
    let world = try World()
    var answers: [SimDatagram] = []
    world.network.onSend = { if $0.from == world.serverSocket.localAddress { answers.append($0) } }
    let stranger = world.network.bind(.otherHost)
    var packet: [UInt8] = [0xc3, 0x0a, 0x0a, 0x0a, 0x0a, 8, 1, 2, 3, 4, 5, 6, 7, 8, 3, 9, 9, 9]
    packet += [UInt8](repeating: 0, count: 1_200 - packet.count)
    world.network.inject(
      packet, from: stranger.localAddress, to: world.serverSocket.localAddress)
    world.loop.run(for: .seconds(1))
    #expect(answers.count == 1)
    let bytes = try #require(answers.first?.bytes)
    #expect(bytes.count < 100)
    // RFC 9000 §17.2.1: version 0, the IDs swapped, then the versions.
    #expect(bytes[0] & 0x80 != 0)
    #expect(Array(bytes[1..<18]) == [0, 0, 0, 0, 3, 9, 9, 9, 8, 1, 2, 3, 4, 5, 6, 7, 8])
    let versions = stride(from: 18, to: bytes.count, by: 4).map { at in
      bytes[at..<at + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    }
    #expect(versions.contains(1) && versions.contains(QuicVersion.v2.number))
    #expect(world.server.connectionCount == 0)
  }

  @Test("an unknown version in a datagram under 1200 bytes is not answered")
  func shortUnknownVersion() throws {
    let world = try World()
    let sent = world.network.sentCount
    let stranger = world.network.bind(.otherHost)
    let packet: [UInt8] =
      [0xc3, 0x0a, 0x0a, 0x0a, 0x0a, 2, 1, 2, 2, 9, 9] + [UInt8](repeating: 0, count: 1_188)
    world.network.inject(
      packet, from: stranger.localAddress, to: world.serverSocket.localAddress)
    world.loop.run(for: .seconds(1))
    #expect(world.network.sentCount == sent + 1)
  }
}
