import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("GuessBudget")
struct GuessBudgetTests {
  private let start = Instant(nanoseconds: 1_000_000_000)
  private let source = SocketAddress.clientHost.with(port: 1)

  /// How many of those that come without end are looked at, and when.
  private func guess(
    _ budget: inout GuessBudget, seconds: Int, perSecond: Int
  ) -> [Duration] {
    var looked: [Duration] = []
    for number in 0..<(seconds * perSecond) {
      let at = Duration.microseconds(number * 1_000_000 / perSecond)
      guard let wait = budget.turn(of: source, now: start + at) else { continue }
      if wait == .zero { budget.noteFailure(from: source, now: start + at) }
      looked.append(at + wait)
    }
    return looked
  }

  @Test("twenty wrong tokens are looked at, and five a second from then on")
  func rate() {
    var budget = GuessBudget()
    let looked = guess(&budget, seconds: 60, perSecond: 200)
    #expect(looked.filter { $0 < .milliseconds(90) }.count <= 20)
    for second in stride(from: 1, to: 60, by: 7) {
      let end = Duration.seconds(second)
      #expect(looked.filter { $0 <= end }.count <= 20 + 5 * second)
    }
    #expect(looked.filter { $0 > .seconds(10) && $0 <= .seconds(50) }.count >= 195)
  }

  @Test("good tokens wait for nothing but wrong ones from their own source")
  func good() {
    var budget = GuessBudget()
    let free = (0..<1_000).map { _ in budget.turn(of: source, now: start) }
    #expect(free.allSatisfy { $0 == .zero })
    _ = guess(&budget, seconds: 1, perSecond: 100)
    let elsewhere = budget.turn(of: .otherHost, now: start)
    let beside = budget.turn(of: source.with(port: 9), now: start + .seconds(1))
    #expect(elsewhere == .zero && beside != .zero)
    // A guesser that has gone leaves nothing behind.
    let later = budget.turn(of: source, now: start + .seconds(20))
    #expect(later == .zero)
  }

  @Test("no more than a few thousand sources are remembered")
  func memory() {
    var budget = GuessBudget()
    for number in 0..<20_000 {
      let source = SocketAddress(ipv4: UInt32(number), port: 1)
      budget.noteFailure(from: source, now: start)
    }
    #expect(budget.count <= GuessBudget.sourcesMax)
  }
}
