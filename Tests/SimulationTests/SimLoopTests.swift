import QuicTransport
import Simulation
import Testing

@Suite("SimLoop")
struct SimLoopTests {
  @Test("the clock jumps from timer to timer and ends at the deadline")
  func clock() {
    let loop = SimLoop()
    var times: [Duration] = []
    loop.after(.seconds(5)) { times.append(loop.elapsed) }
    loop.after(.seconds(2)) {
      times.append(loop.elapsed)
      loop.after(.milliseconds(1)) { times.append(loop.elapsed) }
    }
    loop.run(for: .seconds(4))
    #expect(times == [.seconds(2), .milliseconds(2_001)])
    #expect(loop.elapsed == .seconds(4))
    #expect(loop.runUntilIdle(within: .seconds(100)))
    #expect(times.last == .seconds(5) && loop.elapsed == .seconds(5))
  }

  @Test("a run ends as soon as its condition holds, or reports that it never did")
  func condition() {
    let loop = SimLoop()
    var count = 0
    for second in 1...10 { loop.after(.seconds(second)) { count += 1 } }
    #expect(loop.run(for: .seconds(60)) { count == 3 })
    #expect(loop.elapsed == .seconds(3))
    #expect(!loop.run(for: .seconds(60)) { count == 11 })
    #expect(loop.elapsed == .seconds(63) && count == 10)
  }

  /// Counts its flushes and asks for more.
  private final class Member: TickMember {
    let loop: SimLoop
    var flushes: [Instant] = []
    var again = 0

    init(_ loop: SimLoop) {
      self.loop = loop
    }

    func endOfTick(now: Instant) {
      flushes.append(now)
      if again > 0 {
        again -= 1
        loop.flushAtEndOfTick(self)
      }
    }
  }

  @Test("members are flushed after the timers of their tick, and again when they ask")
  func flushing() {
    let loop = SimLoop()
    let member = Member(loop)
    member.again = 2
    var order: [Int] = []
    loop.after(.seconds(1)) {
      order.append(member.flushes.count)
      loop.flushAtEndOfTick(member)
    }
    loop.after(.seconds(1)) { order.append(member.flushes.count) }
    #expect(loop.runUntilIdle(within: .seconds(10)))
    #expect(order == [0, 0])
    #expect(member.flushes == Array(repeating: SimLoop.start + .seconds(1), count: 3))
  }

  /// An actor that lives on the loop and sleeps in virtual time.
  private actor Sleeper {
    private nonisolated let loop: SimLoop
    private(set) var log: [String] = []

    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    init(_ loop: SimLoop) {
      self.loop = loop
    }

    func sleep(_ duration: Duration) async {
      await withCheckedContinuation { continuation in
        loop.after(duration) { continuation.resume() }
      }
    }

    func work(_ name: String, _ random: SplitMix64) async {
      var random = random
      for step in 0..<20 {
        await sleep(.nanoseconds(Int64(random.below(1_000_000_000))))
        log.append("\(name)\(step)@\(loop.elapsed)")
      }
    }
  }

  private func simulate(seed: UInt64) throws -> [String] {
    let loop = SimLoop()
    let log = try loop.run(for: .seconds(3_600)) {
      let sleeper = Sleeper(loop)
      await withTaskGroup(of: Void.self) { group in
        for number in UInt64(0)..<8 {
          group.addTask {
            await sleeper.work("task \(number) ", SplitMix64(seed: seed &* 100 &+ number))
          }
        }
      }
      return await sleeper.log
    }
    return try #require(log)
  }

  @Test("actors and tasks run the same way every time", arguments: Seeds.first(10))
  func determinism(seed: UInt64) throws {
    let first = try simulate(seed: seed)
    #expect(first.count == 160)
    for _ in 0..<5 { #expect(try simulate(seed: seed) == first) }
    #expect(try simulate(seed: seed &+ 1) != first)
  }

  private struct Failure: Error {}

  @Test("an error of the task is thrown, a task that never ends gives nil")
  func outcomes() throws {
    let loop = SimLoop()
    #expect(throws: Failure.self) {
      try loop.run(for: .seconds(1)) { throw Failure() }
    }
    let nothing: Void? = try loop.run(for: .seconds(1)) {
      await Sleeper(loop).sleep(.seconds(100))
    }
    #expect(nothing == nil)
    #expect(try loop.run(for: .seconds(1)) { 5 } == 5)
    // Lets the sleeper end.
    #expect(loop.runUntilIdle(within: .seconds(200)))
  }
}
