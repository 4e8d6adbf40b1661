import QuicTransport
import Simulation
import Testing

@Suite("ECN")
struct ECNTests {
  /// Sends 1 MB and returns the marks of the client's datagrams, in order, and the time it took.
  private func marks(
    _ configure: (inout World.Options) -> Void
  ) throws -> (sent: [ECN], elapsed: Duration, lost: UInt64) {
    let world = try World(configure)
    var sent: [ECN] = []
    world.network.onSend = { datagram in
      if datagram.from.with(port: 0) == .clientHost { sent.append(datagram.ecn) }
    }
    let (client, server) = try world.connect()
    try client.open().send(1_000_000, of: Pattern(seed: 1), finishing: true)
    world.wait { server.opened.first?.sawEnd == true }
    return (sent, world.loop.elapsed, client.connection?.statistics.packetsLost ?? 0)
  }

  @Test("packets stay marked as capable when the peer's counts agree")
  func validated() throws {
    let sent = try marks { _ in }.sent
    #expect(sent.suffix(sent.count / 2).allSatisfy { $0 == .capable0 })
  }

  @Test("the packet that closes the connection is marked like the others")
  func close() throws {
    let world = try World { _ in }
    let (client, server) = try world.connect()
    try client.open().send(1_000_000, of: Pattern(seed: 1), finishing: true)
    world.wait { server.opened.first?.sawEnd == true }
    var marks: [ECN] = []
    world.network.onSend = { datagram in
      if datagram.from.with(port: 0) == .clientHost { marks.append(datagram.ecn) }
    }
    client.connection?.close(code: 0, reason: "")
    world.wait { server.isClosed }
    #expect(!marks.isEmpty)
    #expect(marks.allSatisfy { $0 == .capable0 })
  }

  @Test("marks from the network slow the sender down, without any loss")
  func congestion() throws {
    let plain = try marks { _ in }
    let marked = try marks { $0.link.congestionMarkRate = 0.2 }
    #expect(marked.elapsed.seconds > plain.elapsed.seconds * 1.5)
    #expect(marked.lost == 0)
  }

  @Test("a network that clears the marks turns them off")
  func cleared() throws {
    let sent = try marks { $0.link.clearsECN = true }.sent
    #expect(sent.first == .capable0)
    #expect(sent.suffix(sent.count / 2).allSatisfy { $0 == .notCapable })
  }

  @Test("nothing is marked when it is switched off")
  func off() throws {
    let sent = try marks { $0.transport { $0.usesECN = false } }.sent
    #expect(sent.allSatisfy { $0 == .notCapable })
  }
}
