import Simulation
import Testing

@testable import QuicTransport

@Suite("TimerQueue")
struct TimerQueueTests {
  @Test("timers fire in the order of their deadlines, ties in the order of arming")
  func order() {
    var queue = TimerQueue()
    var fired: [Int] = []
    let timers = (0..<6).map { number in LoopTimer { _ in fired.append(number) } }
    for (number, deadline) in [30, 10, 20, 10, 30, 5].enumerated() {
      queue.schedule(timers[number], at: Instant(nanoseconds: UInt64(deadline)))
    }
    while let timer = queue.takeDue(Instant(nanoseconds: 100)) {
      timer.fire(Instant(nanoseconds: 100))
    }
    #expect(fired == [5, 1, 3, 2, 0, 4])
    #expect(queue.earliest == nil)
  }

  @Test("a timer is taken at its deadline and not before")
  func due() {
    var queue = TimerQueue()
    let timer = LoopTimer { _ in }
    queue.schedule(timer, at: Instant(nanoseconds: 10))
    #expect(queue.earliest == Instant(nanoseconds: 10))
    #expect(queue.takeDue(Instant(nanoseconds: 9)) == nil)
    #expect(timer.isArmed)
    #expect(queue.takeDue(Instant(nanoseconds: 10)) === timer)
    #expect(!timer.isArmed)
    #expect(queue.takeDue(.distantFuture) == nil)
  }

  @Test("arming again moves the deadline, and cancelling twice does nothing")
  func moving() {
    var queue = TimerQueue()
    let timer = LoopTimer { _ in }
    queue.schedule(timer, at: Instant(nanoseconds: 10))
    queue.schedule(timer, at: Instant(nanoseconds: 50))
    #expect(queue.earliest == Instant(nanoseconds: 50))
    queue.cancel(timer)
    queue.cancel(timer)
    #expect(queue.earliest == nil && !timer.isArmed)
  }

  @Test("random arming, moving and cancelling agree with a sorted list", arguments: Seeds.all)
  func model(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var queue = TimerQueue()
    var fired: [Int] = []
    let timers = (0..<50).map { number in LoopTimer { _ in fired.append(number) } }
    var model: [(number: Int, deadline: UInt64, sequence: Int)] = []
    for sequence in 0..<2_000 {
      let number = Int(random.below(50))
      model.removeAll { $0.number == number }
      if random.chance(0.3) {
        queue.cancel(timers[number])
      } else {
        let deadline = random.below(100)
        queue.schedule(timers[number], at: Instant(nanoseconds: deadline))
        model.append((number, deadline, sequence))
      }
      if random.chance(0.05) {
        let now = random.below(60)
        fired = []
        while let timer = queue.takeDue(Instant(nanoseconds: now)) {
          timer.fire(Instant(nanoseconds: now))
        }
        let due = model.filter { $0.deadline <= now }
          .sorted { ($0.deadline, $0.sequence) < ($1.deadline, $1.sequence) }
        #expect(fired == due.map(\.number))
        model.removeAll { $0.deadline <= now }
      }
      #expect(queue.earliest?.nanoseconds == model.map(\.deadline).min())
    }
  }
}
