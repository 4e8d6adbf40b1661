import Testing

@testable import qtun

@Suite("Command line of netcheck and ping")
struct NetworkParserTests {
  private func parse(
    _ words: String..., ticket: String? = nil
  ) throws(UsageError) -> Invocation.Action {
    var variables = ["HOME": "/home/u"]
    variables["QTUN_TICKET"] = ticket
    return try CommandLineParser.parse(words, environment: Environment(variables)).action
  }

  private func servers(_ word: String) throws(UsageError) -> [String]? {
    guard case .netcheck(let settings) = try parse("netcheck", "--stun", word) else { return nil }
    return settings.servers.map(\.description)
  }

  @Test(
    "a STUN server has port 3478 where none is named",
    arguments: [
      ("stun.example.org", "stun.example.org:3478"), ("a.example:99", "a.example:99"),
      ("192.0.2.7", "192.0.2.7:3478"),
      ("[2001:db8::1]", "[2001:db8::1]:3478"), ("[2001:db8::1]:99", "[2001:db8::1]:99"),
    ])
  func stun(word: String, read: String) throws {
    #expect(try servers(word) == [read])
  }

  @Test("nobody is asked but by name, four at most, and the router unless told otherwise")
  func netcheck() throws {
    #expect(try parse("netcheck") == .netcheck(NetcheckSettings(servers: [], mapsPort: true)))
    let alone = NetcheckSettings(servers: [], mapsPort: false)
    #expect(try parse("netcheck", "--no-port-mapping") == .netcheck(alone))
    #expect(throws: UsageError.self) { try servers("a b") }
    #expect(throws: UsageError.self) { try servers("2001:db8::1") }
    #expect(throws: UsageError.self) { try servers("host:0") }
    #expect(throws: UsageError.self) {
      try parse(
        "netcheck", "--stun", "a", "--stun", "b", "--stun", "c", "--stun", "d", "--stun", "e")
    }
  }

  private func settings(_ words: String..., ticket: String? = nil) throws -> PingSettings? {
    var variables = ["HOME": "/home/u"]
    variables["QTUN_TICKET"] = ticket
    let action = try CommandLineParser.parse(
      ["ping"] + words, environment: Environment(variables)
    ).action
    guard case .ping(let settings) = action else { return nil }
    return settings
  }

  @Test("ping takes a ticket, and ends by itself only where it is told to or waits for UDP")
  func ping() throws {
    let plain = try settings("qtun1abc")
    #expect(plain?.ticket == .argument("qtun1abc") && plain?.count == nil)
    #expect(try settings("-", "-c", "3")?.count == 3)
    #expect(try settings("-")?.ticket == .standardInput)
    #expect(try settings(ticket: "qtun1x")?.ticket == .environment("qtun1x"))
    let until = try settings("qtun1abc", "--until-direct")
    #expect(until?.untilDirect == true && until?.count == 30)
    #expect(try settings("qtun1abc", "--until-direct", "-c", "5")?.count == 5)
    #expect(throws: UsageError.self) { try settings() }
    #expect(throws: UsageError.self) { try settings("qtun1abc", "-c", "0") }
  }
}
