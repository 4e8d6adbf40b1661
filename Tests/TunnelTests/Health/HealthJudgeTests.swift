import Testing

@testable import Tunnel

@Suite("Verdicts on a target")
struct HealthJudgeTests {
  /// After each check, `u` for up, `d` for down; capital where the verdict is new.
  private func verdicts(_ checks: String, fall: Int = 2, rise: Int = 3) -> String {
    var judge = HealthJudge(fall: fall, rise: rise)
    return String(
      checks.map { check -> Character in
        let isNew = judge.note(isGood: check == "+")
        return judge.isUp == true ? (isNew ? "U" : "u") : (isNew ? "D" : "d")
      })
  }

  @Test("the first check decides alone")
  func first() {
    #expect(verdicts("+") == "U" && verdicts("-") == "D")
    #expect(HealthJudge(fall: 2, rise: 2).isUp == nil)
  }

  @Test("so many bad ones in a row take it out, so many good ones put it back")
  func rows() {
    #expect(verdicts("+--+++") == "UuDddU")
    #expect(verdicts("+-+-+-+") == "Uuuuuuu")
    #expect(verdicts("-++-++-+++") == "DddddddddU")
    #expect(verdicts("+-+", fall: 1, rise: 1) == "UDU")
  }
}
