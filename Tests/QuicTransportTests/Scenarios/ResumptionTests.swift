import QuicTransport
import Simulation
import Testing

@Suite("Session tickets")
struct ResumptionTests {
  private func world() throws -> World {
    try World {
      $0.server.usesSessionTickets = true
      $0.client.usesSessionTickets = true
    }
  }

  private func connectAndClose(_ world: World) throws {
    let first = try world.connect()
    #expect(first.client.connection?.isResumed == false)
    world.loop.run(for: .seconds(1))
    first.client.connection?.close(code: 0, reason: "")
    world.loop.run(for: .seconds(1))
  }

  @Test("the second connection is resumed, and still knows both identities")
  func resumption() throws {
    let world = try world()
    try connectAndClose(world)
    let (client, server) = try world.connect()
    #expect(client.connection?.isResumed == true && server.connection?.isResumed == true)
    #expect(client.connection?.peer == World.serverIdentity.publicKey)
    #expect(server.connection?.peer == World.clientIdentity.publicKey)
    let stream = try client.open()
    stream.send(1_000, of: Pattern(seed: 1), finishing: true)
    world.wait { server.opened.first?.sawEnd == true }
  }

  @Test("an identity that lost its place is refused on resumption too")
  func revoked() throws {
    let world = try world()
    try connectAndClose(world)
    world.server.acceptsPeer = { _ in false }
    let client = try world.dial()
    world.wait { client.isClosed && world.accepted.last?.isClosed == true }
    #expect(world.accepted.count == 2)
    #expect(world.accepted.last?.readyAt == nil)
    guard case .rejectedByPeer = client.error else {
      Issue.record("the client heard \(String(describing: client.error))")
      return
    }
    guard case .peerRejected = world.accepted.last?.error else {
      Issue.record("the server says \(String(describing: world.accepted.last?.error))")
      return
    }
  }

  @Test("nothing is heard of a resumed identity that lost its place", arguments: [true, false])
  func revokedInHaste(closes: Bool) throws {
    let world = try world()
    try connectAndClose(world)
    world.server.acceptsPeer = { _ in false }
    // The end of the handshake and everything after it reach the server at once.
    let link = world.network.link(from: .clientHost, to: .serverHost)
    let late = SimLoop.start + .seconds(3)
    world.network.onSend = { _ in link.settings.latency = late - world.loop.now }
    let client = try world.dial()
    client.onReady = { connection in
      let stream = try? connection.openStream(unidirectional: true)
      try? stream?.write([1, 2, 3])
      try? connection.sendDatagram([4])
      if closes {
        world.loop.after(.microseconds(1)) { connection.close(code: 0, reason: "") }
      }
    }
    world.loop.run(for: .seconds(10))
    let server = try #require(world.accepted.last)
    #expect(client.isReady && world.accepted.count == 2)
    #expect(server.readyAt == nil && server.isClosed)
    #expect(server.opened.isEmpty && server.datagrams.isEmpty)
  }

  @Test("a ticket of an earlier server run leads to a full handshake")
  func foreignTicket() throws {
    let world = try world()
    try connectAndClose(world)
    try world.restartServer()
    let (client, _) = try world.connect()
    #expect(client.connection?.isResumed == false)
  }

  @Test("without tickets nothing is resumed")
  func off() throws {
    let world = try World()
    try connectAndClose(world)
    let (client, _) = try world.connect()
    #expect(client.connection?.isResumed == false)
  }
}
