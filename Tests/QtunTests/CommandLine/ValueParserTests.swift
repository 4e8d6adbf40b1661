import Testing

@testable import qtun

@Suite("ValueParser")
struct ValueParserTests {
  private static let any = ValueParser<Duration>.duration(in: .zero ... .seconds(86_400 * 400))

  @Test(
    "a duration is numbers with descending units",
    arguments: [
      ("15s", 15_000), ("500ms", 500), ("2m", 120_000), ("8h", 28_800_000), ("1d", 86_400_000),
      ("1h30m", 5_400_000), ("1m5s20ms", 65_020), ("0s", 0), ("90m", 5_400_000),
    ])
  func duration(text: String, milliseconds: Int64) throws {
    #expect(try Self.any.parse(text) == .milliseconds(milliseconds))
  }

  @Test(
    "what is not a duration is refused",
    arguments: [
      "", "15", "s", "15 s", "1.5s", "-1s", "15x", "1m1h", "1s1s", "9223372036854775807d",
      "99999999999999999999s", "15S", "٣s",
    ])
  func notDuration(text: String) {
    let error = #expect(throws: ValueProblem.self) { try Self.any.parse(text) }
    #expect(error?.cause.hasSuffix("is not a duration") == true)
  }

  @Test("a duration out of range names the range in the form that is accepted")
  func durationRange() {
    let parser = ValueParser<Duration>.duration(in: .milliseconds(1500)...Duration.seconds(604_800))
    let error = #expect(throws: ValueProblem.self) { try parser.parse("1s") }
    #expect(
      error == ValueProblem("1s", "is out of range", fix: "choose a duration from 1s500ms to 7d"))
  }

  @Test("a choice that is misspelt names the one that was meant, any other all of them")
  func choice() throws {
    let parser = ValueParser<CongestionControl>.choice
    #expect(try parser.parse("bbr") == .bbr)
    let near = #expect(throws: ValueProblem.self) { try parser.parse("cubik") }
    #expect(near?.fix == "did you mean cubic?")
    let far = #expect(throws: ValueProblem.self) { try parser.parse("reno") }
    #expect(far?.fix == "choose cubic or bbr")
  }

  @Test("a problem shows no control characters and no more than a screen line of the value")
  func problemIsSafe() {
    let problem = ValueProblem(
      "\u{1B}[2J" + String(repeating: "a", count: 1000), "is bad", fix: "-")
    #expect(problem.cause.hasPrefix("\"\\u{1b}[2J"))
    #expect(problem.cause.utf8.count < 120)
  }
}
