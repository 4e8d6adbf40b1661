import Testing

@testable import QuicTransport

@Suite("Counting by source")
struct SourceTallyTests {
  @Test("an IPv4 address is one source, an IPv6 /64 is one, and ports say nothing")
  func sources() throws {
    let home = try #require(SocketAddress("2001:db8:1:2::1", port: 1))
    let neighbour = try #require(SocketAddress("2001:db8:1:2:ffff::9", port: 2))
    let other = try #require(SocketAddress("2001:db8:1:3::1", port: 1))
    let first = SocketAddress(ipv4: 0xc000_0201, port: 5)
    var tally = SourceTally()
    for address in [home, neighbour, first] { tally.add(address) }
    #expect(tally.count(of: home) == 2 && tally.count(of: other) == 0)
    #expect(tally.count(of: first.with(port: 6)) == 1)
    #expect(tally.count(of: SocketAddress(ipv4: 0xc000_0202, port: 5)) == 0)
    tally.remove(neighbour)
    tally.remove(home)
    #expect(tally.count(of: home) == 0 && tally.total == 1)
  }
}
