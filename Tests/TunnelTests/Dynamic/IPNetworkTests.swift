import QuicTransport
import Testing

@testable import Tunnel

@Suite("IP network")
struct IPNetworkTests {
  private func address(_ text: String) throws -> SocketAddress {
    try #require(SocketAddress(text, port: 1))
  }

  @Test(
    "a network has the addresses of its prefix and no others",
    arguments: [
      (
        "10.0.0.0/8", ["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"],
        ["9.255.255.255", "11.0.0.0"]
      ),
      ("0.0.0.0/0", ["0.0.0.0", "255.255.255.255"], ["::", "2001:db8::"]),
      ("192.0.2.7", ["192.0.2.7"], ["192.0.2.6", "192.0.2.8"]),
      ("2001:db8::/32", ["2001:db8::1", "2001:db8:ffff::"], ["2001:db9::", "10.0.0.1"]),
      ("fe80::/64", ["fe80::1"], ["fe80:0:0:1::1"]),
      ("2001:db8::/65", ["2001:db8::7fff:0:0:1"], ["2001:db8::8000:0:0:0"]),
      ("::/0", ["::1", "10.0.0.1", "ffff::"], []),
    ])
  func contains(text: String, inside: [String], outside: [String]) throws {
    let network = try #require(IPNetwork(text))
    for text in inside { #expect(network.contains(try address(text)), "\(text)") }
    for text in outside { #expect(!network.contains(try address(text)), "\(text)") }
  }

  @Test(
    "what is none is refused",
    arguments: [
      "", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/ 8", "10/8",
      "10.0.0.1/8", "2001:db8::/129", "2001:db8::1/32", "fe80::1%lo", "a/8", "10.0.0.0/8/8",
    ])
  func bad(text: String) {
    #expect(IPNetwork(text) == nil)
  }

  @Test("a network contains those that lie in it")
  func nesting() throws {
    let wide = try #require(IPNetwork("10.0.0.0/8"))
    let narrow = try #require(IPNetwork("10.1.0.0/16"))
    let other = try #require(IPNetwork("11.0.0.0/16"))
    let all = try #require(IPNetwork("0.0.0.0/0"))
    #expect(wide.contains(narrow) && wide.contains(wide) && all.contains(wide))
    #expect(!narrow.contains(wide) && !wide.contains(other) && !wide.contains(all))
  }
}
