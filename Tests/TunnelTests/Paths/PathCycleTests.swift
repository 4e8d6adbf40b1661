import QuicTransport
import Simulation
import Testing

@testable import Tunnel

/// Sessions that move between good roads all the time.
@Suite("Moves between good paths")
struct PathCycleTests {
  @Test(
    "no flow waits for longer than a few round trips when its session moves", arguments: Seeds.all)
  func cycling(seed: UInt64) throws {
    let world = try TunnelWorld { options in
      options.seed = seed
      options.network.latency = .milliseconds(20)
      options.tcpPasses = true
      options.carriers = .cycling(every: .milliseconds(400))
    }
    world.targets.onAccept = { $0.echoes = true }
    try world.open()
    let programs = (0..<10).map { _ in world.connect() }
    var sent = [Int](repeating: 0, count: programs.count)
    var last = [Instant](repeating: world.loop.now, count: programs.count)
    var longest = Duration.zero
    while world.link.statistics.switches < 40 {
      for (index, program) in programs.enumerated() where program.received.count == sent[index] {
        last[index] = world.loop.now
        program.send(Payload.bytes(1_024, seed: UInt64(sent[index])))
        sent[index] += 1_024
      }
      world.loop.run(for: .milliseconds(5))
      guard world.link.statistics.switches > 2 else { continue }
      longest = max(longest, last.map { world.loop.now - $0 }.max() ?? .zero)
      try #require(longest < .seconds(5), "seed \(seed)")
    }
    // A round trip is 40 ms, and the targets are milliseconds away.
    #expect(longest <= .milliseconds(130), "seed \(seed)")
    #expect(world.errors.isEmpty)
  }
}
