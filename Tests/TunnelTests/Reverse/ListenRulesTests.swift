import QuicTransport
import Testing

@testable import Tunnel

@Suite("Listen rules")
struct ListenRulesTests {
  private func permits(_ rules: String, _ host: String, _ port: UInt16) throws -> Bool {
    let address = try #require(SocketAddress(host, port: port))
    return try ListenRules(rules).permit(address)
  }

  @Test(
    "what a rule names is allowed",
    arguments: [
      ("8080", "127.0.0.1", 8_080), ("8080", "::1", 8_080), ("8000-8010", "127.0.0.1", 8_010),
      ("localhost:80", "127.0.0.1", 80), ("0.0.0.0:80", "0.0.0.0", 80), ("[::]:80", "::", 80),
      ("*:80", "::", 80), ("*:80", "192.0.2.1", 80), ("*", "127.0.0.1", 0), ("*:*", "::", 0),
      ("192.0.2.1:*", "192.0.2.1", 65_535), ("1,2,[2001:db8::1]:3", "2001:db8::1", 3),
    ] as [(String, String, UInt16)])
  func allowed(rules: String, host: String, port: UInt16) throws {
    #expect(try permits(rules, host, port))
  }

  @Test(
    "nothing else is: no other address, no wildcard, no port beside the range, no free port",
    arguments: [
      ("8080", "0.0.0.0", 8_080), ("8080", "::", 8_080), ("8080", "192.0.2.1", 8_080),
      ("8000-8010", "127.0.0.1", 8_011), ("8000-8010", "127.0.0.1", 7_999),
      ("8000-8010", "127.0.0.1", 0), ("0.0.0.0:80", "127.0.0.1", 80), ("0.0.0.0:80", "::", 80),
      ("[::]:80", "0.0.0.0", 80), ("127.0.0.1:80", "127.0.0.2", 80), ("*:80", "::", 81),
    ] as [(String, String, UInt16)])
  func refused(rules: String, host: String, port: UInt16) throws {
    #expect(try !permits(rules, host, port))
  }

  @Test(
    "what cannot be read is named",
    arguments: [
      "", "0", "x", "80-70", "70000", "1-70000", "80,", "::1:80", "[127.0.0.1]:80", "[::1]",
      "example.com:80", "10.0.0.0/8:80", "[fe80::1%eth0]:80", "-5", "5-", "1-2-3", "*:0", ":80",
    ])
  func unreadable(text: String) {
    #expect(throws: ListenRuleError.self) { try ListenRules(text) }
  }

  @Test("there are so many at most")
  func tooMany() {
    let most = [String](repeating: "80", count: 256).joined(separator: ",")
    #expect(throws: Never.self) { try ListenRules(most) }
    #expect(throws: ListenRuleError.tooMany) { try ListenRules(most + ",80") }
  }
}
