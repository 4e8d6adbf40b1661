import Testing
import Tunnel

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

  @Test("a relay may be asked as well, with its key or without")
  func relay() throws {
    let key = String(repeating: "a", count: 52)
    for word in ["relay.example", "\(key)@relay.example", "\(key)@relay.example:3478"] {
      let settings = NetcheckSettings(
        servers: [try HostPort.parse("relay.example:3478", rule: .service)], mapsPort: true)
      #expect(try parse("netcheck", "--rendezvous", word) == .netcheck(settings))
    }
    #expect(throws: UsageError.self) { try parse("netcheck", "--rendezvous", "abc@relay.example") }
    // Where it is to be talked to, the key is not optional.
    #expect(throws: UsageError.self) {
      try parse("ping", "qtun1x", "--rendezvous", "relay.example")
    }
  }

  @Test("which way a session goes, and how long the start waits for it")
  func paths() throws {
    let plain = try settings("qtun1abc")?.dialling
    #expect(plain?.path == .automatic && plain?.waitDirect == nil && plain?.mapsPort == true)
    let direct = try settings("qtun1abc", "--path", "direct", "--wait-direct", "5s")?.dialling
    #expect(direct?.path == .direct && direct?.waitDirect == .seconds(5))
    #expect(try settings("qtun1abc", "--path", "relay")?.dialling.staysOnRelay == true)
    #expect(try settings("qtun1abc", "--carrier", "relay")?.dialling.staysOnRelay == true)
    #expect(try settings("qtun1abc", "--no-port-mapping")?.dialling.mapsPort == false)
    for words in [
      ["--path", "relay", "--wait-direct", "1s"], ["--carrier", "relay", "--wait-direct", "1s"],
      ["--carrier", "relay", "--path", "direct"], ["--path", "both"], ["--wait-direct", "5"],
    ] {
      #expect(throws: UsageError.self) {
        try CommandLineParser.parse(
          ["ping", "qtun1abc"] + words, environment: Environment(["HOME": "/home/u"]))
      }
    }
  }

  @Test("relays may be given up to four times, on both sides")
  func relays() throws {
    let names = (0..<5).flatMap { number in
      ["--rendezvous", String(repeating: "a", count: 52) + "@relay\(number).example"]
    }
    for command in [["ping", "qtun1x"], ["share", "3000"]] {
      let environment = Environment(["HOME": "/home/u"])
      _ = try CommandLineParser.parse(command + names.prefix(8), environment: environment)
      #expect(throws: UsageError.self) {
        try CommandLineParser.parse(command + names, environment: environment)
      }
    }
    #expect(throws: UsageError.self) { try parse("share", "3000", "--path", "relay") }
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
