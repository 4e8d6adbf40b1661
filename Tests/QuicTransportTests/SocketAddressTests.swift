import QuicTransport
import Testing

@Suite("SocketAddress")
struct SocketAddressTests {
  @Test(
    "an address prints as it was written, in its shortest form",
    arguments: [
      ("192.0.2.1", "192.0.2.1:443"),
      ("0.0.0.0", "0.0.0.0:443"),
      ("2001:db8:0:0:0:0:0:1", "[2001:db8::1]:443"),
      ("::", "[::]:443"),
      ("::1", "[::1]:443"),
      ("::ffff:192.0.2.1", "192.0.2.1:443"),
      ("FE80::A", "[fe80::a]:443"),
    ])
  func printing(_ text: String, _ printed: String) {
    #expect(SocketAddress(text, port: 443)?.description == printed)
  }

  @Test(
    "what is no numeric address is refused",
    arguments: [
      "", "localhost", "192.0.2", "192.0.2.256", "1.2.3.4.5", "192.0.2.1:80", "[::1]", ":::",
      "2001:db8::1::2", "12345::", " 192.0.2.1", "192.0.2.1 ", "fe80::1%no-such-interface",
      "192.0.2.1\0", "192.0.2.1\0.example.com", "::1\0::1",
    ])
  func refusing(_ text: String) {
    #expect(SocketAddress(text, port: 1) == nil)
  }

  @Test("a link-local address keeps its interface")
  func scope() throws {
    let address = try #require(SocketAddress("fe80::1%lo", port: 9))
    #expect(address.scope != 0)
    #expect(address.host.hasPrefix("fe80::1%"))
    #expect(SocketAddress(address.host, port: 9) == address)
    #expect(address != SocketAddress("fe80::1", port: 9))
  }

  @Test("printing and parsing are inverse", arguments: ["10.1.2.3", "2001:db8::7:0:1", "::2"])
  func roundTrip(_ text: String) throws {
    let address = try #require(SocketAddress(text, port: 65_535))
    #expect(SocketAddress(address.host, port: 65_535) == address)
  }

  @Test("an IPv4 address gives its 32 bits, an IPv6 address none")
  func bits() throws {
    #expect(SocketAddress("192.0.2.1", port: 0)?.ipv4 == 0xc000_0201)
    #expect(SocketAddress(ipv4: 0xc000_0201, port: 7) == SocketAddress("192.0.2.1", port: 7))
    #expect(SocketAddress("::1", port: 0)?.ipv4 == nil)
  }

  /// What an address is taken for.
  struct Kind: Equatable {
    var isUnspecified = false
    var isLoopback = false
    var isLinkLocal = false
    var isPrivate = false

    static let global = Kind()
    static let unspecified = Kind(isUnspecified: true)
    static let loopback = Kind(isLoopback: true)
    static let linkLocal = Kind(isLinkLocal: true)
    static let `private` = Kind(isPrivate: true)
  }

  @Test(
    "addresses are told apart at the edges of their ranges",
    arguments: [
      ("0.0.0.0", Kind.unspecified), ("::", .unspecified), ("0.0.0.1", .global),
      ("126.255.255.255", .global), ("127.0.0.0", .loopback), ("127.255.255.255", .loopback),
      ("128.0.0.0", .global), ("::1", .loopback), ("::2", .global),
      ("169.253.255.255", .global), ("169.254.0.0", .linkLocal), ("169.255.0.0", .global),
      ("fe7f::", .global), ("fe80::", .linkLocal), ("febf:ffff::", .linkLocal),
      ("fec0::", .global),
      ("9.255.255.255", .global), ("10.0.0.0", .private), ("11.0.0.0", .global),
      ("172.15.255.255", .global), ("172.16.0.0", .private), ("172.31.255.255", .private),
      ("172.32.0.0", .global), ("192.167.255.255", .global), ("192.168.0.0", .private),
      ("192.169.0.0", .global), ("fbff::", .global), ("fc00::", .private),
      ("fdff::", .private), ("fe00::", .global),
    ])
  func classification(_ text: String, _ expected: Kind) throws {
    let address = try #require(SocketAddress(text, port: 0))
    let kind = Kind(
      isUnspecified: address.isUnspecified, isLoopback: address.isLoopback,
      isLinkLocal: address.isLinkLocal, isPrivate: address.isPrivate)
    #expect(kind == expected)
  }
}
