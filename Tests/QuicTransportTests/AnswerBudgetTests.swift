import Testing

@testable import QuicTransport

@Suite("AnswerBudget")
struct AnswerBudgetTests {
  private let start = Instant(nanoseconds: 1_000_000_000)

  private func address(_ number: Int) -> SocketAddress {
    SocketAddress(ipv4: 0x1000_0000 + UInt32(number), port: 5_000)
  }

  /// Asks 20 times a millisecond for so long; the times at which there was an answer.
  private func times(
    _ budget: inout AnswerBudget, milliseconds: Int, isUrgent: Bool = false,
    from source: (Int) -> SocketAddress
  ) -> [Int] {
    var times: [Int] = []
    for number in 0..<(20 * milliseconds) {
      let now = start + .milliseconds(number / 20)
      if budget.take(for: source(number), isUrgent: isUrgent, now: now) {
        times.append(number / 20)
      }
    }
    return times
  }

  private func mostWithinSecond(_ times: [Int]) -> Int {
    times.indices.map { first in
      times[first...].prefix { $0 < times[first] + 1_000 }.count
    }.max() ?? 0
  }

  @Test("no second has more than a thousand answers, or a hundred to one source")
  func rates() {
    var urgent = AnswerBudget(now: start)
    let many = times(&urgent, milliseconds: 3_000, isUrgent: true) { address($0) }
    #expect(mostWithinSecond(many) <= 1_000 && many.count > 2_400)
    var single = AnswerBudget(now: start)
    let one = times(&single, milliseconds: 3_000) { address(1).with(port: UInt16($0 % 60_000)) }
    #expect(mostWithinSecond(one) <= 100 && one.count > 240)
  }

  @Test("urgent answers are there while others have used up theirs")
  func urgency() {
    var budget = AnswerBudget(now: start)
    var urgent = 0
    for millisecond in 0..<2_000 {
      let now = start + .milliseconds(millisecond)
      for number in 0..<20 {
        _ = budget.take(
          for: address(20 * millisecond + number), isUrgent: false, now: now)
      }
      // 500 a second.
      if millisecond % 2 == 0,
        budget.take(for: address(1 << 24 + millisecond), isUrgent: true, now: now)
      {
        urgent += 1
      }
    }
    #expect(urgent == 1_000)
  }

  @Test("sources that were not answered are not remembered, nor are those of a while ago")
  func memory() {
    var budget = AnswerBudget(now: start)
    _ = times(&budget, milliseconds: 5_000) { address($0) }
    #expect(budget.sourceCount <= AnswerBudget.sourcesMax)
  }
}
