import Testing

@testable import qtun

@Suite("Command line of access")
struct AccessParserTests {
  private func parse(_ words: [String]) throws(UsageError) -> Invocation.Action {
    let environment = Environment(["HOME": "/home/u"])
    return try CommandLineParser.parse(words, environment: environment).action
  }

  private func action(_ words: String...) throws -> TicketSettings.Action {
    guard case .ticket(let settings) = try parse(words) else { throw WrongAction() }
    #expect(settings.identityFile == "/home/u/.config/qtun/identity")
    return settings.action
  }

  private func causes(_ words: String...) -> [String] {
    do throws(UsageError) {
      _ = try parse(words)
      return []
    } catch {
      return error.complaints.map { "\($0.cause): \($0.fix)" }
    }
  }

  private struct WrongAction: Error {}

  @Test("ticket make takes its limits, and where the share is")
  func make() throws {
    let limits = TicketLimits(
      services: ["web", ""], expires: .after(.seconds(86_400)), uses: 3, label: "anna k")
    let address = HostPort(host: .ipv4("203.0.113.5"), port: 4_433)
    #expect(
      try action(
        "ticket", "make", "--share", "web", "--share=-", "--expires", "24h", "--uses", "3",
        "--label", "anna k", "--port", "4433", "--address", "203.0.113.5:4433")
        == .make(limits, port: 4_433, addresses: [address]))
    #expect(try action("ticket", "make") == .make(TicketLimits(), port: nil, addresses: []))
    #expect(TicketLimits().isEmpty && !limits.isEmpty)
  }

  @Test("show, list and revoke take what they need; options may stand in between")
  func others() throws {
    #expect(try action("ticket", "show", "-") == .show(.standardInput))
    #expect(try action("ticket", "show", "qtun1abc") == .show(.argument("qtun1abc")))
    #expect(try action("ticket", "--json", "list") == .list)
    #expect(try action("ticket", "revoke", "anna") == .revoke("anna"))
  }

  @Test("share takes --allow several times, and limits for its own ticket")
  func share() throws {
    let key = String(repeating: "a", count: 52)
    let words = "share 80 --allow \(key) --allow people --expires 1h --uses 2".split(separator: " ")
    guard case .share(let settings) = try parse(words.map(String.init)) else {
      throw WrongAction()
    }
    #expect(settings.allowed == [.identity(key), .file("people")])
    #expect(settings.limits == TicketLimits(expires: .after(.seconds(3_600)), uses: 2))
  }

  @Test("what is wrong is said with what is right")
  func wrong() {
    #expect(causes("ticket").first?.contains("ticket make") == true)
    #expect(causes("ticket", "mkae").first?.contains("ticket make") == true)
    #expect(causes("ticket", "revoke").first?.hasPrefix("ID|TICKET|LABEL is missing") == true)
    for wrong in [
      ["--uses", "0"], ["--uses", "1001"], ["--uses", "x"], ["--label", "a\nb"],
      ["--share", "a b"], ["--port", "0"], ["--port", "65536"], ["--address", "4433"],
      ["--expires", "soon"], ["--expires", "2020-01-01"], ["--expires", "2026-02-30"],
      ["--expires", "2026-12-01T25:00Z"], ["--expires", "0s"], ["--share", "w", "--share", "w"],
      ["--allow", "x"],
    ] {
      let words = ["ticket", "make"] + wrong
      #expect(throws: UsageError.self, "\(wrong)") { try parse(words) }
    }
  }

  @Test(
    "dates are days and minutes in UTC",
    arguments: [
      ("2026-12-01", 1_796_083_200), ("2026-12-01T15:30Z", 1_796_139_000),
      ("2028-02-29", 1_835_395_200),
    ] as [(String, UInt64)])
  func dates(text: String, seconds: UInt64) throws {
    #expect(try ValueParser<Expiry>.expiry.parse(text) == .at(seconds))
    let before = Timestamp(seconds: Int64(seconds) - 1, nanoseconds: 0)
    #expect(Expiry.at(seconds).time(now: before) == seconds)
    let then = Timestamp(seconds: Int64(seconds), nanoseconds: 0)
    #expect(Expiry.at(seconds).time(now: then) == nil)
  }

  @Test("a duration counts from now, rounded up to whole seconds")
  func durations() throws {
    let now = Timestamp(seconds: 100, nanoseconds: 0)
    #expect(try ValueParser<Expiry>.expiry.parse("1s500ms").time(now: now) == 102)
    #expect(try ValueParser<Expiry>.expiry.parse("2d").time(now: now) == 172_900)
  }

  @Test("the commands of two words have their help, and `ticket` the topic's")
  func help() throws {
    #expect(HelpPage(named: "ticket make") == .command("ticket make"))
    #expect(HelpPage(named: "ticket") == .topic(.tickets))
    #expect(try parse(["help", "ticket", "make"]) == .help(.command("ticket make")))
    #expect(try parse(["ticket", "make", "--help"]) == .help(.command("ticket make")))
  }
}
