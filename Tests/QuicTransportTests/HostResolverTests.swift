import Testing

@testable import QuicTransport

@Suite("Names to addresses")
struct HostResolverTests {
  @Test("localhost is loopback of both families, without asking anybody")
  func localhost() throws {
    let addresses = try HostResolver.resolve("localhost", port: 80, count: 8)
    #expect(addresses.map(\.description) == ["127.0.0.1:80", "[::1]:80"])
  }

  @Test("a numeric address is itself")
  func numeric() throws {
    #expect(try HostResolver.resolve("2001:db8::1", port: 1, count: 8).count == 1)
    #expect(
      try HostResolver.resolve("192.0.2.1", port: 1, count: 8).map(\.description)
        == ["192.0.2.1:1"])
  }
}
