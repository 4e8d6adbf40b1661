import Testing

@testable import qtun

@Suite("The command line of punch")
struct PunchSettingsTests {
  private func parse(_ words: String...) throws -> Invocation.Action {
    try CommandLineParser.parse(["punch"] + words, environment: Environment([:])).action
  }

  @Test("one hyphen or two, a space or an equals sign, and the last of two holds")
  func forms() throws {
    var expected = PunchSettings()
    expected.peer = "a"
    #expect(try parse("-peer", "a") == .punch(expected))
    #expect(try parse("-peer=a") == .punch(expected))
    #expect(try parse("--peer", "a") == .punch(expected))
    #expect(try parse("--peer=a") == .punch(expected))
    #expect(try parse("-peer", "b", "-peer", "a") == .punch(expected))
  }

  @Test("values may begin with a hyphen or be empty, and keep their order")
  func values() throws {
    var expected = PunchSettings()
    expected.command = "openvpn"
    expected.arguments = [.template("--remote"), .raw("-x"), .fields(""), .template("=")]
    #expect(
      try parse("-arg", "--remote", "-raw", "-x", "-fields", "", "-command=openvpn", "-arg==")
        == .punch(expected))
  }

  @Test("flags are on, or what Go reads as on or off")
  func flags() throws {
    var expected = PunchSettings()
    expected.isSilent = true
    expected.handsOver = true
    #expect(
      try parse("-silent", "--handover=T", "-raw-logging=0", "-json=false") == .punch(expected))
    #expect(throws: UsageError.self) { try parse("-silent=maybe") }
  }

  @Test("help and version are answered, whatever else is given")
  func help() throws {
    #expect(try parse("-peer", "a", "-h") == .help(.command("punch")))
    #expect(try parse("--help") == .help(.command("punch")))
    #expect(try parse("-version") == .version)
  }

  @Test("every slip is reported", arguments: ["-per", "-peer", "spare", "-", "-=a"])
  func slips(word: String) {
    #expect(throws: UsageError.self) { try parse(word) }
  }

  @Test("the other commands' rules do not reach it, nor its flags them")
  func apart() {
    let environment = Environment(["HOME": "/h"])
    #expect(throws: UsageError.self) {
      try CommandLineParser.parse(["--json", "punch"], environment: environment)
    }
    #expect(throws: UsageError.self) {
      try CommandLineParser.parse(["share", "3000", "--peer", "a"], environment: environment)
    }
  }
}
