import QuicTransport
import Testing

@testable import Tunnel

@Suite("When a node goes back to its relay")
struct ReturnPlanTests {
  private static let stopped = QuicError.application(
    code: RelayCode.shuttingDown, isRemote: true, reason: "")

  @Test("after silence, later and later; anew once it has answered")
  func silence() {
    var plan = ReturnPlan()
    let delays = (0..<9).map { _ in plan.delay(because: nil, jitter: 1) }
    #expect(delays.first == .milliseconds(500) && delays.last == .seconds(60))
    #expect(delays == delays.sorted() && plan.patience == nil)
    plan.opened()
    #expect(plan.delay(because: nil, jitter: 0) == .milliseconds(250))
  }

  @Test("where visitors wait, at once and then every two seconds")
  func awaited() {
    var plan = ReturnPlan()
    plan.isAwaited = true
    let delays = (0..<9).map { _ in plan.delay(because: nil, jitter: 1) }
    #expect(delays.first == .milliseconds(250) && delays.last == .seconds(2))
  }

  @Test("after a notice, at a moment of the interval that it names, then many times")
  func notice() {
    var plan = ReturnPlan()
    plan.note(.init(stopsIn: 3_000, spread: 10_000))
    #expect(plan.patience != nil)
    #expect(plan.delay(because: Self.stopped, jitter: 0.5) == .milliseconds(5_100))
    let next = (0..<9).map { _ in plan.delay(because: nil, jitter: 1) }
    #expect(next.allSatisfy { $0 <= .milliseconds(750) })
    #expect(plan.delay(because: nil, jitter: 1) == .milliseconds(500))
  }

  @Test("a farewell without a notice counts as one")
  func farewell() {
    var plan = ReturnPlan()
    #expect(plan.delay(because: Self.stopped, jitter: 1) == .milliseconds(600))
    #expect(plan.patience != nil)
  }

  @Test(
    "who is refused comes back after a minute",
    arguments: RelayDenial.allCases.filter { ![.other, .restarting].contains($0) })
  func denied(denial: RelayDenial) {
    var plan = ReturnPlan()
    plan.note(.init(stopsIn: 0, spread: 0))
    let reason = QuicError.application(
      code: denial.code, isRemote: true, reason: denial.reason)
    #expect(RelayDenial(code: denial.code) == denial)
    #expect(plan.delay(because: reason, jitter: 1) == .seconds(60))
    #expect(plan.patience == nil)
  }
}
