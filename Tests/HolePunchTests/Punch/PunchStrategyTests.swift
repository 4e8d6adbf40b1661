import QuicTransport
import Simulation
import Testing

@testable import HolePunch

@Suite("Punch strategy")
struct PunchStrategyTests {
  private static let fullCone = NATReport(
    mapping: .endpointIndependent, filtering: .endpointIndependent)
  private static let restricted = NATReport(
    mapping: .endpointIndependent, filtering: .addressDependent)
  private static let home = NATReport(
    mapping: .endpointIndependent, filtering: .addressAndPortDependent)
  private static let unknown = NATReport()
  private static let random = NATReport(
    mapping: .addressAndPortDependent, filtering: .addressAndPortDependent)
  private static let lenient = NATReport(mapping: .addressDependent, filtering: .addressDependent)
  private static let regular = {
    var report = random
    report.portDelta = 1
    report.lastPort = 4_000
    return report
  }()
  private static let kinds = [fullCone, restricted, home, unknown, random, lenient, regular]

  /// Rows and columns are `kinds`. The hard side of a mode with roles is marked: h first, H second.
  private static let table = """
    plain     plain     plain     plain     plain      plain      plain
    plain     plain     plain     plain     plain      plain      plain
    plain     plain     primed    primed    birthdayH  birthdayH  predictH
    plain     plain     primed    primed    birthdayH  birthdayH  predictH
    plain     plain     birthdayh birthdayh relay      birthdayH  relay
    plain     plain     birthdayh birthdayh birthdayh  birthdayH  birthdayh
    plain     plain     predicth  predicth  relay      birthdayH  predict
    """

  @Test("the whole table")
  func table() {
    let rows = Self.table.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
    for (row, first) in Self.kinds.enumerated() {
      for (column, second) in Self.kinds.enumerated() {
        let choice = PunchStrategy.choose(first: first, second: second)
        var text = "\(choice.mode)"
        if choice.first == .hard { text += "h" }
        if choice.second == .hard { text += "H" }
        #expect(text == rows[row][column], "\(first) and \(second)")
        let isPaired = choice.first == .hard || choice.second == .hard
        #expect(Set([choice.first, choice.second]) == (isPaired ? [.easy, .hard] : [.equal]))
      }
    }
  }

  @Test("no public address behind a NAT that lets nobody in is treated like one")
  func firewall() {
    let firewall = NATReport(mapping: .none, filtering: .addressAndPortDependent)
    #expect(PunchStrategy.choose(first: firewall, second: firewall).mode == .primed)
    #expect(PunchStrategy.choose(first: firewall, second: Self.random).mode == .birthday)
  }

  @Test("blocked UDP says so")
  func blocked() {
    var blocked = NATReport()
    blocked.isUDPBlocked = true
    #expect(PunchStrategy.choose(first: blocked, second: Self.fullCone).mode == .blocked)
    #expect(PunchStrategy.choose(first: Self.fullCone, second: blocked).mode == .blocked)
  }

  @Test("the hold is longer than what the delays differ by, within its bounds")
  func hold() {
    for (one, other, hold) in [(20, 20, 60), (10, 160, 200), (900, 10, 400)] {
      func party(_ delay: Int) -> PunchPlan.Party {
        PunchPlan.Party(
          offer: 1, report: Self.home, observed: nil, candidates: [], delay: .milliseconds(delay))
      }
      let plans = PunchPlan.pair(round: 3, first: party(one), second: party(other))
      #expect(plans.first.hold == .milliseconds(hold) && plans.second.hold == plans.first.hold)
      #expect(plans.first.round == 3 && plans.first.mode == .primed)
    }
  }
}

@Suite("Port guesses")
struct PortGuessTests {
  @Test("a search visits every port once", arguments: Seeds.all)
  func search(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var search = PortSearch(host: .serverHost, using: &random)
    let ports = (0..<PortGuess.ports.count).map { _ in search.next().port }
    #expect(Set(ports).count == PortGuess.ports.count)
    #expect(ports.min() == 1_024 && ports.max() == 65_535)
  }

  @Test("ports wrap as NATs wrap, in both directions")
  func wrap() {
    #expect(PortGuess.port(after: 65_535, delta: 1, steps: 1) == 1_024)
    #expect(PortGuess.port(after: 1_024, delta: -2, steps: 1) == 65_534)
    #expect(PortGuess.port(after: 0, delta: 1, steps: 1) >= 1_024)
  }

  @Test("two regular NATs meet several times, whatever others took from them meanwhile")
  func meetings() {
    let first = PortGuess.steps(isFirst: true)
    let second = PortGuess.steps(isFirst: false)
    // Else the packets after a repeated one leave from other ports than those counted here.
    #expect(Set(first).count == first.count && Set(second).count == second.count)
    for taken in 0..<PortGuess.leadMax {
      for ours in 0...taken {
        let theirs = taken - ours
        // Our packet i leaves from i+ours and aims at first[i-1]; theirs likewise.
        let meetings = (1...PortGuess.packetsMax).count { packet in
          let aimed = first[packet - 1] - theirs
          guard (1...PortGuess.packetsMax).contains(aimed) else { return false }
          return second[aimed - 1] == packet + ours
        }
        #expect(meetings >= 2, "\(ours) and \(theirs) taken: \(meetings)")
      }
    }
  }

  @Test("retries come after 5, 10, 20, 40, 60, 60 s, and from the start after a change")
  func retries() {
    var retry = RetrySchedule()
    let waits = (0..<6).map { _ in retry.next() }
    #expect(waits == [5, 10, 20, 40, 60, 60].map { .seconds($0) })
    retry.reset()
    let next = retry.next()
    #expect(next == .seconds(5))
  }
}
