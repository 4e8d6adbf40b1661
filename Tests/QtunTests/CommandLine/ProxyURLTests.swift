import QuicTransport
import Testing
import Tunnel

@testable import qtun

@Suite("Proxies on the command line")
struct ProxyURLTests {
  private func place(_ host: HostPort.Host, _ port: UInt16) -> HostPort {
    HostPort(host: host, port: port)
  }

  @Test("a proxy is read with its credentials decoded")
  func parses() throws {
    #expect(try ProxyURL.parse("none") == .none)
    #expect(
      try ProxyURL.parse("http://proxy:3128")
        == .http(place(.name("proxy"), 3128), credentials: nil))
    #expect(
      try ProxyURL.parse("HTTP://192.0.2.1/")
        == .http(place(.ipv4("192.0.2.1"), 80), credentials: nil)
    )
    #expect(
      try ProxyURL.parse("[2001:db8::1]:8080")
        == .http(place(.ipv6("2001:db8::1"), 8080), credentials: nil))
    #expect(
      try ProxyURL.parse("http://me:p%40ss%3a%25@proxy:1")
        == .http(place(.name("proxy"), 1), credentials: "me:p@ss:%"))
  }

  @Test(
    "what is wrong is said without a word of the password",
    arguments: [
      "socks5://u:sesame@h:1", "https://u:sesame@h:1", "http://sesame@h:1", "http://:sesame@h:1",
      "http://u:sesame%2@h:1", "http://u:sesame@:1", "http://u:sesame@h:99999",
      "http://u:sesame@",
    ])
  func complains(text: String) {
    let problem = #expect(throws: ValueProblem.self) { try ProxyURL.parse(text) }
    #expect(problem.map { !$0.cause.contains("sesame") && !$0.fix.contains("sesame") } == true)
  }

  private func choice(_ word: String?, _ variables: [String: String]) throws -> ProxyChoice? {
    try ProxyChoice(word: word, environment: Environment(variables))
  }

  @Test("the option goes before the environment, and can turn it off")
  func precedence() throws {
    let variables = ["HTTPS_PROXY": "http://a:1", "https_proxy": "http://b:1", "NO_PROXY": "*"]
    #expect(try choice(nil, [:]) == nil)
    #expect(try choice("none", variables) == nil)
    #expect(try choice(nil, variables)?.url == .http(place(.name("a"), 1), credentials: nil))
    #expect(
      try choice(nil, ["https_proxy": "b:1"])?.url
        == .http(place(.name("b"), 1), credentials: nil))
    let chosen = try #require(try choice("http://c:1", variables))
    #expect(chosen.url == .http(place(.name("c"), 1), credentials: nil))
    #expect(chosen.exceptions.isEmpty && chosen.word == "http://c:1")
    #expect(throws: ValueProblem.self) { try choice(nil, ["HTTPS_PROXY": "ftp://x"]) }
  }

  @Test("NO_PROXY names addresses and ranges; this machine's own are never meant")
  func exceptions() throws {
    func exempts(_ list: String, _ address: String) throws -> Bool {
      let choice = try choice(nil, ["HTTPS_PROXY": "http://a:1", "NO_PROXY": list])
      let address = try #require(SocketAddress(address, port: 443))
      return choice?.exceptions.contains { $0.contains(address) } ?? false
    }
    #expect(try exempts("", "127.0.0.9") && exempts("", "::1") && !exempts("", "192.0.2.1"))
    #expect(try exempts("*", "192.0.2.1") && exempts("*", "2001:db8::1"))
    let list = "localhost, .example.org,192.0.2.0/24 ,[2001:db8::1],10.0.0.0/x,10.0.0.0/33"
    #expect(try exempts(list, "192.0.2.7") && exempts(list, "2001:db8::1"))
    #expect(try !exempts(list, "10.0.0.0") && !exempts(list, "2001:db8::2"))
  }
}
