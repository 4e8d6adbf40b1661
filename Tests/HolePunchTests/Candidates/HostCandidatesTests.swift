import HolePunch
import QuicTransport
import Testing

@Suite("Host candidates")
struct HostCandidatesTests {
  private static let port: UInt16 = 7_000
  private static let any4 = SocketAddress.anyIPv4.with(port: port)
  private static let any6 = SocketAddress.any.with(port: port)

  @Test("addresses come best first, in the system's order among equals, with the socket's port")
  func order() throws {
    let gathered = HostCandidates.gather(
      addresses: try addresses(
        "127.0.0.1", "192.168.1.5", "203.0.113.9", "::1", "fd00::7", "2001:db8::9", "10.0.0.2"),
      socket: Self.any6, hasIPv6: true, count: 8)
    let expected: [(String, Candidate.Kind)] = [
      ("203.0.113.9", .global), ("2001:db8::9", .global), ("192.168.1.5", .local),
      ("fd00::7", .local), ("10.0.0.2", .local), ("127.0.0.1", .loopback), ("::1", .loopback),
    ]
    #expect(gathered.map(\.address.host) == expected.map(\.0))
    #expect(gathered.map(\.kind) == expected.map(\.1))
    #expect(gathered.allSatisfy { $0.address.port == Self.port })
  }

  @Test("no more candidates than asked for, and the best of them")
  func count() throws {
    let all = try addresses("127.0.0.1", "10.0.0.2", "203.0.113.9")
    let two = HostCandidates.gather(
      addresses: all, socket: Self.any4, hasIPv6: false, count: 2)
    #expect(two.map(\.address.host) == ["203.0.113.9", "10.0.0.2"])
    let none = HostCandidates.gather(
      addresses: all, socket: Self.any4, hasIPv6: false, count: 0)
    #expect(none.isEmpty)
  }

  @Test("link-local addresses are left out")
  func linkLocal() throws {
    let gathered = HostCandidates.gather(
      addresses: try addresses("169.254.3.4", "fe80::1", "febf::1", "fec0::1", "169.253.0.1"),
      socket: Self.any6, hasIPv6: true, count: 8)
    #expect(gathered.map(\.address.host) == ["fec0::1", "169.253.0.1"])
  }

  @Test("a socket for IPv4 only offers no IPv6")
  func familyOfSocket() throws {
    let gathered = HostCandidates.gather(
      addresses: try addresses("2001:db8::9", "10.0.0.2"), socket: Self.any4, hasIPv6: false,
      count: 8)
    #expect(gathered.map(\.address.host) == ["10.0.0.2"])
  }

  @Test("an address that two interfaces have is offered once")
  func duplicates() throws {
    let gathered = HostCandidates.gather(
      addresses: try addresses("10.0.0.2", "10.0.0.2"), socket: Self.any4, hasIPv6: false,
      count: 8)
    #expect(gathered.count == 1)
  }

  @Test("a socket bound to one address offers that one only")
  func boundSocket() throws {
    let bound = try #require(SocketAddress("127.0.0.1", port: Self.port))
    let gathered = HostCandidates.gather(
      addresses: try addresses("203.0.113.9"), socket: bound, hasIPv6: false, count: 8)
    #expect(gathered == [Candidate(address: bound, kind: .loopback)])
  }

  @Test(
    "private networks are known by their first and last addresses",
    arguments: [
      ("10.0.0.0", true), ("10.255.255.255", true), ("9.255.255.255", false), ("11.0.0.0", false),
      ("172.16.0.0", true), ("172.31.255.255", true), ("172.15.255.255", false),
      ("172.32.0.0", false), ("192.168.0.0", true), ("192.168.255.255", true),
      ("192.167.255.255", false), ("192.169.0.0", false), ("fc00::", true),
      ("fdff:ffff::1", true), ("fbff::1", false), ("fe00::1", false),
    ])
  func privateNetworks(host: String, isPrivate: Bool) throws {
    let gathered = HostCandidates.gather(
      addresses: try addresses(host), socket: Self.any6, hasIPv6: true, count: 1)
    #expect(gathered.map(\.kind) == [isPrivate ? .local : .global])
  }

  private func addresses(_ hosts: String...) throws -> [SocketAddress] {
    try hosts.map { try #require(SocketAddress($0, port: 0)) }
  }
}
