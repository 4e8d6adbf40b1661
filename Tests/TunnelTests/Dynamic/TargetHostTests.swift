import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Target host")
struct TargetHostTests {
  private func host(_ text: String) -> TargetHost? {
    TargetHost(Destination(host: text, port: 443))
  }

  @Test(
    "an address in its usual form is an address",
    arguments: ["192.0.2.1", "127.0.0.1", "::1", "2001:db8::1", "::ffff:127.0.0.1", "::7f00:1"])
  func addresses(text: String) throws {
    let address = try #require(SocketAddress(text, port: 443))
    #expect(host(text) == .address(address))
  }

  @Test(
    "names are compared in lower case, without a final dot",
    arguments: [
      ("example.com", "example.com"), ("EXAMPLE.Com.", "example.com"), ("localhost", "localhost"),
      ("a_b.c-d.e", "a_b.c-d.e"), ("xn--bcher-kva.example", "xn--bcher-kva.example"),
      ("1.2.3.4.example", "1.2.3.4.example"), ("0x7f.example", "0x7f.example"),
    ])
  func names(text: String, name: String) {
    #expect(host(text) == .name(name))
  }

  @Test(
    "every other spelling of an address is neither",
    arguments: [
      "2130706433", "127.1", "127.0.1", "0x7f.1", "0x7f000001", "0X7F000001", "0177.0.0.1",
      "017700000001", "127.0.0.01", "127.0.0.1.", "127.0.0.1..", "1.2.3.4.5", "256.0.0.1",
      "127.0.0.0x1", "127.0.0.0x", "[::1]", "::1%lo", "fe80::1%1", "fe80::1%eth0", "::1%25lo",
      "127%2e0.0.1", "%31%32%37.0.0.1", "１２７.0.0.1", "127。0。0。1", "ⓛocalhost", "lo\u{ad}calhost",
      "0:0:0:0:0:0:0:0:1", "::1::", "1::2::3", ":::", "12345::", "::ffff:127.1",
      "127.0.0.1\0", "127.0.0.1\0.example.com",
    ])
  func tricks(text: String) {
    #expect(host(text) == nil)
  }

  @Test(
    "what is no name is refused",
    arguments: [
      "", ".", "..", "a..b", ".a", "-a", "a-", "a-.b", "a b", "a\0b", "a/b", "a:b", "a@b", "*",
      "*.example.com", "bücher.example", "a\n", String(repeating: "a", count: 64),
      String(repeating: "a.", count: 127) + "a",
    ])
  func notNames(text: String) {
    #expect(host(text) == nil)
  }

  @Test("random text is never a name that inet_aton(3) would read", arguments: Seeds.all)
  func noise(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let alphabet = Array("0123456789abcdefxX.-:%")
    for _ in 0..<1_000 {
      let text = String(
        (0..<Int(random.below(16))).map { _ in alphabet[Int(random.below(UInt64(alphabet.count)))] }
      )
      guard case .name(let name) = host(text) else { continue }
      let last = name.split(separator: ".").last ?? ""
      #expect(!last.allSatisfy { $0.isNumber }, "\(text)")
      #expect(!last.hasPrefix("0x") || !last.dropFirst(2).allSatisfy(\.isHexDigit), "\(text)")
    }
  }
}
