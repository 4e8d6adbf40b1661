import QuicTransport
import Simulation
import Testing

@testable import Tunnel

/// Sessions that are direct, and have the relay to go back to.
@Suite("From a dead direct path to the relay", .timeLimit(.minutes(2)))
struct FallbackTests {
  /// Streams both ways or one, at lines of 5 Mbit/s, and when their bytes came.
  private final class Scene {
    let world: RelayedWorld
    private let program: LocalProgram
    private var counts = [0, 0]
    private var last: [Instant]
    private(set) var waits: [[(from: Instant, to: Instant)]] = [[], []]
    private let load: (up: Bool, down: Bool)
    private var sent: [[UInt8]] = [[], []]

    init(seed: UInt64, load: (up: Bool, down: Bool)) throws {
      self.load = load
      world = try RelayedWorld(seed: seed)
      for (one, other) in [
        (RelayedWorld.linkHost, RelayedWorld.shareHost), (RelayedWorld.linkHost, .serverHost),
        (RelayedWorld.shareHost, .serverHost),
      ] {
        world.network.configure(one, other) {
          $0.bitsPerSecond = 5_000_000
          $0.queueBytes = 25_000
        }
      }
      last = [world.loop.now, world.loop.now]
      try world.open()
      world.link.roadFound(world.direct)
      _ = world.loop.run(for: .seconds(5)) { [world] in world.carrier == .udp }
      program = world.connect()
      program.send([1])
      sent[0] = [1]
      _ = world.loop.run(for: .seconds(5)) { [world] in !world.targets.programs.isEmpty }
    }

    private var target: LocalProgram { world.targets.programs[0] }

    /// Sends for this long, and notes the waits of each direction.
    func run(_ duration: Duration) {
      let end = world.loop.now + duration
      while world.loop.now < end {
        for (index, isLoaded) in [load.up, load.down].enumerated() where isLoaded {
          let sender = index == 0 ? program : target
          let receiver = index == 0 ? target : program
          if sent[index].count - receiver.received.count < 300_000 {
            let piece = Payload.bytes(100_000, seed: UInt64(sent[index].count))
            sender.send(piece)
            sent[index] += piece
          }
          if receiver.received.count > counts[index] {
            counts[index] = receiver.received.count
            if world.loop.now - last[index] > .milliseconds(30) {
              waits[index].append((last[index], world.loop.now))
            }
            last[index] = world.loop.now
          }
        }
        world.loop.run(for: .milliseconds(5))
      }
    }

    /// Everything that was sent arrives, whole.
    func settle() {
      _ = world.loop.run(for: .seconds(60)) {
        target.received.count == sent[0].count && program.received.count == sent[1].count
      }
      #expect(Payload.difference(target.received, sent[0]) == nil)
      #expect(Payload.difference(program.received, sent[1]) == nil)
      #expect(world.errors.isEmpty)
    }
  }

  @Test(
    "the direct path goes dark under load: data flows through the relay within 0.9 s",
    arguments: Seeds.first(2), [(true, true), (true, false), (false, true)])
  func blackhole(seed: UInt64, load: (up: Bool, down: Bool)) throws {
    let scene = try Scene(seed: seed, load: load)
    // Not always at the same distance from a probe.
    scene.run(.milliseconds(2_000 + 370 * Int64(seed % 7)))
    scene.world.setDirect(blackhole: true)
    let cut = scene.world.loop.now
    scene.run(.milliseconds(1_500))
    #expect(scene.world.carrier == .relay, "seed \(seed)")
    for (waits, isLoaded) in zip(scene.waits, [load.up, load.down]) where isLoaded {
      let longest = waits.filter { $0.to > cut }.max { $0.to - $0.from < $1.to - $1.from }
      let back = try #require(longest).to - cut
      #expect(back < .milliseconds(900), "\(back), seed \(seed)")
    }
    scene.settle()
  }
}
