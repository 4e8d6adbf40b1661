import QuicTransport
import Simulation
import Testing

@Suite("Transfer")
struct TransferTests {
  /// What a run leaves to compare.
  struct Outcome: Equatable {
    var trace: TraceHash
    var elapsed: Duration
    var datagrams: Int
  }

  /// Sends `count` bytes both ways on one stream and checks every one.
  func transfer(
    _ count: Int, configure: (inout World.Options) -> Void
  ) throws -> Outcome {
    let world = try World(configure)
    let forth = Pattern(seed: 1)
    let back = Pattern(seed: 2)
    world.onAccepted = { probe in
      probe.onOpened = { stream in
        stream.expect(forth)
        stream.send(count, of: back, finishing: true)
      }
    }
    let (client, server) = try world.connect()
    let near = try client.open()
    near.expect(back)
    near.send(count, of: forth, finishing: true)
    world.wait(.seconds(600)) { near.isClosed && server.opened.first?.isClosed == true }
    let far = try #require(server.opened.first)
    #expect(near.wrongAt == nil && far.wrongAt == nil)
    #expect(near.received == count && far.received == count)
    #expect(near.sawEnd && far.sawEnd)
    #expect(near.closeError == nil && far.closeError == nil)
    return Outcome(
      trace: world.network.trace, elapsed: world.loop.elapsed,
      datagrams: world.network.sentCount)
  }

  @Test("no byte is wrong under loss, reordering, duplication and corruption", arguments: Seeds.all)
  func faults(seed: UInt64) throws {
    _ = try transfer(2 * 1024 * 1024) {
      $0.seed = seed
      $0.link.latency = .milliseconds(10)
      $0.link.jitter = .milliseconds(2)
      $0.link.lossRate = 0.05
      $0.link.reorderingRate = 0.10
      $0.link.duplicationRate = 0.05
      $0.link.corruptionRate = 0.01
    }
  }

  @Test("runs of one seed are alike to the nanosecond; another seed is not")
  func determinism() throws {
    func run(_ seed: UInt64) throws -> Outcome {
      try transfer(512 * 1024) {
        $0.seed = seed
        $0.link.jitter = .milliseconds(1)
        $0.link.lossRate = 0.02
        $0.link.bitsPerSecond = 100_000_000
        $0.link.queueBytes = 64 * 1024
      }
    }
    let first = try run(7)
    #expect(try run(7) == first)
    #expect(try run(7) == first)
    #expect(try run(8) != first)
  }

  @Test(
    "both congestion controllers fill most of a 50 Mbit/s link",
    arguments: [
      CongestionControl.cubic, .bbr,
    ])
  func congestionControl(_ algorithm: CongestionControl) throws {
    let megabytes = 8
    let outcome = try transfer(megabytes * 1_000_000) {
      $0.link.latency = .milliseconds(10)
      $0.link.bitsPerSecond = 50_000_000
      $0.transport { $0.congestionControl = algorithm }
    }
    // The link alone needs 1.28 s.
    #expect(outcome.elapsed < .seconds(2))
  }

  @Test("a transfer goes on after two seconds in which nothing arrives")
  func outage() throws {
    let world = try World()
    let pattern = Pattern(seed: 3)
    world.onAccepted = { $0.onOpened = { $0.expect(pattern) } }
    let (client, server) = try world.connect()
    try client.open(unidirectional: true).send(4_000_000, of: pattern, finishing: true)
    world.wait { server.opened.first.map { $0.received > 1_000_000 } ?? false }
    world.network.configure(.serverHost, .clientHost) { $0.isBlackhole = true }
    world.loop.run(for: .seconds(2))
    world.network.configure(.serverHost, .clientHost) { $0.isBlackhole = false }
    world.wait(.seconds(20)) { server.opened.first?.sawEnd == true }
    #expect(server.opened.first?.received == 4_000_000)
    #expect(server.opened.first?.wrongAt == nil)
  }

  @Test("a full socket buffer delays packets and loses none")
  func fullSocketBuffer() throws {
    let world = try World()
    let pattern = Pattern(seed: 4)
    world.onAccepted = { $0.onOpened = { $0.expect(pattern) } }
    let (client, server) = try world.connect()
    try client.open(unidirectional: true).send(1_000_000, of: pattern, finishing: true)
    for _ in 0..<20 {
      world.clientSocket.block(for: .milliseconds(3))
      world.loop.run(for: .milliseconds(7))
    }
    world.wait { server.opened.first?.sawEnd == true }
    #expect(server.opened.first?.received == 1_000_000 && server.opened.first?.wrongAt == nil)
    #expect(client.connection?.statistics.packetsLost == 0)
  }
}
