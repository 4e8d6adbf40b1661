import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Which relays are kept warm")
struct RelayRankingTests {
  private typealias Relay = RelayRanking<Int>.Relay
  private var ranking = RelayRanking<Int>()
  private var now = Instant(nanoseconds: 1_000_000_000)

  private static func relay(
    _ id: Int, own: Int?, sum: Int? = nil, warm: Bool = false, used: Bool = false,
    usable: Bool = true
  ) -> Relay {
    Relay(
      id: id, own: own.map { .milliseconds($0) }, sum: sum.map { .milliseconds($0) },
      isUsable: usable, isWarm: warm, isInUse: used)
  }

  private mutating func next(_ relays: [Relay], after: Duration = .seconds(5))
    -> RelayRanking<Int>.Step
  {
    now = now + after
    return ranking.next(relays, warmMax: 2, now: now)
  }

  private let two = [
    relay(0, own: 10, sum: 100, warm: true, used: true), relay(1, own: 20, sum: 120, warm: true),
  ]

  @Test("a spare that may be nearer is tried out, measured, and kept for the longest one")
  mutating func better() {
    #expect(next(two + [Self.relay(2, own: 30)]) == .tryOut(2))
    let three = two + [Self.relay(2, own: 30, warm: true)]
    #expect(next(three) == .nothing)
    #expect(next(two + [Self.relay(2, own: 30, sum: 50, warm: true)]) == .giveUp(1))
    // What was given up is known well enough.
    let after = [two[0], Self.relay(1, own: 20), Self.relay(2, own: 30, sum: 50, warm: true)]
    #expect(next(after) == .nothing)
  }

  @Test("one that is not nearer is given up, and left alone for ten minutes")
  mutating func worse() {
    #expect(next(two + [Self.relay(2, own: 30)]) == .tryOut(2))
    #expect(next(two + [Self.relay(2, own: 30, sum: 119, warm: true)]) == .giveUp(2))
    #expect(next(two + [Self.relay(2, own: 30)]) == .nothing)
    #expect(next(two + [Self.relay(2, own: 30)], after: .seconds(580)) == .nothing)
    #expect(next(two + [Self.relay(2, own: 30)], after: .seconds(20)) == .tryOut(2))
  }

  @Test("on another network everything is worth another try")
  mutating func network() {
    #expect(next(two + [Self.relay(2, own: 30)]) == .tryOut(2))
    #expect(next(two + [Self.relay(2, own: 30, sum: 119, warm: true)]) == .giveUp(2))
    ranking.networkChanged()
    #expect(next(two + [Self.relay(2, own: 30)]) == .tryOut(2))
  }

  @Test("one whose own leg is as long as the whole way by the best is not tried")
  mutating func hopeless() {
    #expect(next(two + [Self.relay(2, own: 85)]) == .nothing)
    #expect(next(two + [Self.relay(2, own: nil)]) == .nothing)
    #expect(next(two + [Self.relay(2, own: 30, usable: false)]) == .nothing)
    #expect(next(two + [Self.relay(2, own: 79)]) == .tryOut(2))
  }

  @Test("one that gives no road is given up after 20 s, and the one in use never is")
  mutating func silent() {
    #expect(next(two + [Self.relay(2, own: 30)]) == .tryOut(2))
    let three = two + [Self.relay(2, own: 30, warm: true)]
    for _ in 0..<3 { #expect(next(three) == .nothing) }
    #expect(next(three) == .giveUp(2))
    let used = [
      Self.relay(0, own: 10, sum: 900, warm: true, used: true), two[1],
      Self.relay(2, own: 30, sum: 50, warm: true),
    ]
    #expect(next(used) == .giveUp(1))
  }

  @Test("of several spares the nearest is tried, one at a time")
  mutating func order() {
    let spares = [Self.relay(2, own: 40), Self.relay(3, own: 25)]
    #expect(next(two + spares) == .tryOut(3))
    #expect(next(two + [spares[0], Self.relay(3, own: 25, warm: true)]) == .nothing)
    #expect(next(two + [spares[0], Self.relay(3, own: 25, sum: 200, warm: true)]) == .giveUp(3))
    #expect(next(two + spares) == .tryOut(2))
  }

  @Test("before the roads are measured nothing is tried")
  mutating func unmeasured() {
    let early = [
      Self.relay(0, own: 10, warm: true, used: true), Self.relay(1, own: 20, warm: true),
    ]
    #expect(next(early + [Self.relay(2, own: 5)]) == .nothing)
    #expect(next([two[0], Self.relay(2, own: 5)]) == .nothing)
  }
}
