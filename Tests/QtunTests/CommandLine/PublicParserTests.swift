import QuicTransport
import Testing
import Tunnel

@testable import qtun

@Suite("The command line of public addresses")
struct PublicParserTests {
  private static let relay = "\(String(repeating: "a", count: 52))@relay.example"

  private func share(_ words: String...) throws -> PublicShareSettings {
    let invocation = try CommandLineParser.parse(
      ["share"] + words + ["--rendezvous", Self.relay],
      environment: Environment(["HOME": "/home/u"]))
    guard case .share(let settings) = invocation.action else {
      throw WrongAction()
    }
    return settings.publicly
  }

  private func relay(_ words: String...) throws -> PublicRelaySettings {
    let invocation = try CommandLineParser.parse(
      ["relay"] + words, environment: Environment(["HOME": "/home/u"]))
    guard case .relay(let settings) = invocation.action else {
      throw WrongAction()
    }
    return settings.listening
  }

  private struct WrongAction: Error {}

  private func wish(
    _ kind: PublicKind, port: UInt16 = 0, name: String = "", service: String = ""
  ) -> PublicWish {
    PublicWish(service: service, kind: kind, port: port, name: name)
  }

  @Test("alone, with a port, with a name")
  func forms() throws {
    #expect(try share("3000").wishes.isEmpty)
    #expect(try share("3000", "--public").wishes == [wish(.tcp)])
    #expect(try share("3000", "--public", "8080").wishes == [wish(.tcp, port: 8_080)])
    #expect(try share("3000", "--public=8080").wishes == [wish(.tcp, port: 8_080)])
    #expect(try share("udp:53", "--public").wishes == [wish(.udp)])
    let name = "App.Example.com"
    #expect(try share("3000", "--public", name).wishes == [wish(.http, name: "app.example.com")])
    #expect(
      try share("3000", "--public", "tls:a.example").wishes == [wish(.tls, name: "a.example")])
  }

  @Test("in front of the service it takes no word for its value")
  func order() throws {
    #expect(try share("--public", "3000").wishes == [wish(.tcp)])
    #expect(try share("--public=8080", "3000").wishes == [wish(.tcp, port: 8_080)])
  }

  @Test("of several services, some or all")
  func several() throws {
    #expect(
      try share("web=3000", "dns=udp:53", "--public").wishes
        == [wish(.tcp, service: "web"), wish(.udp, service: "dns")])
    #expect(
      try share("web=3000", "dns=udp:53", "--public", "web=80").wishes
        == [wish(.tcp, port: 80, service: "web")])
    #expect(
      try share("web=3000", "dns=udp:53", "--public", "web=a.example", "--public").wishes
        == [wish(.http, name: "a.example", service: "web"), wish(.udp, service: "dns")])
  }

  @Test("how targets are checked: what is not said has its default")
  func health() throws {
    #expect(try share("3000", "--public").health == nil)
    #expect(try share("3000", "--public", "--health", "tcp").health == HealthCheck(.tcp))
    let check = try #require(
      try share(
        "3000", "--public", "--health", "http:/a?b=c,interval=10s,timeout=500ms,fall=3,rise=1"
      ).health)
    #expect(check.question == .http(path: "/a?b=c"))
    #expect(check.interval == .seconds(10) && check.timeout == .milliseconds(500))
    #expect(check.fall == 3 && check.rise == 1)
    let quick = try #require(try share("3000", "--public", "--health", "tcp,interval=1s").health)
    #expect(quick.timeout == .seconds(1) && quick.timeToDown == .seconds(3))
    for text in [
      "", "udp", "http", "http:", "http:health", "http:/a b", "tcp,", "tcp,fall", "tcp,fall=0",
      "tcp,rise=101", "tcp,interval=1ms", "tcp,interval=5s,interval=6s", "tcp,speed=1",
      "tcp,interval=1s,timeout=2s", "http:/\u{e4}",
    ] {
      #expect(throws: ValueProblem.self, "\(text)") { try ValueParser.healthCheck.parse(text) }
    }
  }

  @Test("what cannot be is refused")
  func wrong() {
    for words in [
      ["a=1", "b=2", "--public", "80"], ["dynamic:*:443", "--public"],
      ["udp:53", "--public", "a.b"],
      ["3000", "--public", "c=80"], ["3000", "--public", "70000"], ["3000", "--public", "a..b"],
      ["3000", "--balance", "least-latency", "--public"], ["3000", "--group", "f"],
      ["3000", "--health", "tcp"], ["udp:53", "--public", "--health", "tcp"],
    ] {
      #expect(throws: UsageError.self, "\(words)") {
        try CommandLineParser.parse(
          ["share"] + words + ["--rendezvous", Self.relay],
          environment: Environment(["HOME": "/home/u"]))
      }
    }
    #expect(throws: UsageError.self) {
      try CommandLineParser.parse(
        ["share", "3000", "--public"], environment: Environment(["HOME": "/home/u"]))
    }
  }

  @Test("a relay listens publicly only where it is told to")
  func relays() throws {
    #expect(try !relay().isOffered)
    let settings = try relay("--ports", "10000-10100", "--open")
    #expect(settings.ports == 10_000...10_100 && settings.stateFolder == nil)
    let names = try relay("--http", "80", "--names", "*.a.example,b.example", "--allow", "friends")
    #expect(names.names.flatMap(\.patterns) == ["*.a.example", "b.example"])
    for words in [
      ["--http", "80", "--open"], ["--ports", "0-9", "--open"], ["--open", "--state", "x"],
      ["--ports", "1-9", "--open", "--names", "a.example"],
    ] {
      #expect(throws: UsageError.self, "\(words)") {
        try CommandLineParser.parse(
          ["relay"] + words, environment: Environment(["HOME": "/home/u"]))
      }
    }
  }

  @Test("public addresses are written as visitors need them")
  func places() throws {
    let key = try #require(PublicKey([UInt8](repeating: 5, count: 32)))
    func text(_ kind: PublicKind, _ host: String, _ port: UInt16) -> String {
      let address = PublicAddress(service: "", kind: kind, host: host, port: port, relay: key)
      return Describe.place(address, relay: "2001:db8::1")
    }
    #expect(text(.tcp, "relay.example", 10_000) == "relay.example:10000")
    #expect(text(.udp, "", 53) == "udp:[2001:db8::1]:53")
    #expect(text(.http, "a.example", 80) == "http://a.example")
    #expect(text(.http, "a.example", 8_080) == "http://a.example:8080")
    #expect(text(.tls, "a.example", 443) == "https://a.example")
  }
}
