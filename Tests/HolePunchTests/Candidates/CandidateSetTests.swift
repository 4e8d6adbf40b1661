import HolePunch
import QuicTransport
import Simulation
import Testing

@Suite("Candidate set")
struct CandidateSetTests {
  private static let start = SimLoop.start

  private func candidate(_ index: Int, _ kind: Candidate.Kind) -> Candidate {
    Candidate(address: SocketAddress(ipv4: 0xc000_0200 + UInt32(index), port: 9), kind: kind)
  }

  @Test("candidates come best first, equals in the order in which they came, 32 at most")
  func ranking() {
    var set = CandidateSet()
    for index in 0..<40 { set.insert(candidate(index, .reflexive), now: Self.start) }
    set.insert(candidate(50, .relayed), now: Self.start)
    set.insert(candidate(51, .local), now: Self.start)
    set.insert(candidate(52, .mapped), now: Self.start)
    #expect(set.all.count == CandidateSet.countMax)
    #expect(set.all.prefix(3).map(\.kind) == [.local, .mapped, .reflexive])
    #expect(set.all[2] == candidate(0, .reflexive) && set.all[31] == candidate(29, .reflexive))
  }

  @Test("news are told once; what is confirmed is no news; what is not goes after 60 s")
  func trickle() {
    var set = CandidateSet()
    #expect(set.takeNews() == nil)
    set.insert(candidate(1, .local), now: Self.start)
    #expect(set.takeNews()?.count == 1)
    #expect(set.takeNews() == nil)
    set.insert(candidate(2, .reflexive), now: Self.start + .seconds(10))
    #expect(set.takeNews()?.count == 2)
    set.insert(candidate(1, .local), now: Self.start + .seconds(30))
    #expect(set.takeNews() == nil)
    #expect(set.timeout == Self.start + .seconds(70))
    set.handleTimeout(now: Self.start + .seconds(70))
    #expect(set.takeNews() == [candidate(1, .local)])
    set.remove { _ in true }
    #expect(set.takeNews() == [] && set.timeout == nil)
  }

  @Test("nothing unusable is offered")
  func unusable() {
    var set = CandidateSet()
    set.insert(
      Candidate(address: SocketAddress(ipv4: 0xe000_0001, port: 9), kind: .global), now: Self.start)
    set.insert(Candidate(address: .serverHost, kind: .global), now: Self.start)
    #expect(set.all.isEmpty && set.generation == 0)
  }
}

@Suite("Candidate filter")
struct CandidateFilterTests {
  private func filter() throws -> CandidateFilter {
    let own = try #require(SocketAddress("192.168.7.20", port: 0))
    let own6 = try #require(SocketAddress("2001:db8:1:2::5", port: 0))
    return CandidateFilter(
      interfaces: [
        InterfaceAddress(address: own, prefixLength: 22),
        InterfaceAddress(address: own6, prefixLength: 64),
      ],
      reflexive: [SocketAddress.clientHost.with(port: 5)])
  }

  private func admitted(_ hosts: String..., kind: Candidate.Kind = .local) throws -> [String] {
    let candidates = try hosts.map {
      Candidate(address: try #require(SocketAddress($0, port: 9)), kind: kind)
    }
    return try filter().admitted(candidates).map(\.address.host)
  }

  @Test("multicast, broadcast, unspecified and reserved addresses and port 0 are not probed")
  func unusable() throws {
    let hosts = [
      "224.0.0.1", "239.1.2.3", "255.255.255.255", "0.0.0.0", "0.1.2.3", "240.0.0.1", "ff02::1",
      "::", "::2", "127.0.0.1", "::1",
    ]
    for host in hosts { #expect(try admitted(host).isEmpty, "\(host)") }
    #expect(
      try filter().admitted([Candidate(address: .serverHost, kind: .global)]).isEmpty, "port 0")
  }

  @Test("private addresses are probed in our own networks only, and never our own address")
  func privateAddresses() throws {
    #expect(try admitted("192.168.4.1", "192.168.8.1", "10.0.0.1") == ["192.168.4.1"])
    #expect(try admitted("fd00::1", "fe80::1", "169.254.1.1").isEmpty)
    #expect(try admitted("192.168.7.20").isEmpty)
  }

  @Test("behind the same outside address all private networks may be near")
  func neighbours() throws {
    let reflexive = Candidate(address: .clientHost.with(port: 77), kind: .reflexive)
    let inside = Candidate(address: SocketAddress(ipv4: 0x0a00_0001, port: 9), kind: .local)
    #expect(
      try filter().admitted([inside, reflexive]).map(\.address) == [
        inside.address, reflexive.address,
      ])
  }

  @Test("shared networks come first, then better kinds; 32 at most, no address twice")
  func order() throws {
    #expect(
      try admitted("203.0.113.4", "2001:db8:1:3::1", "2001:db8:1:2::9", kind: .global)
        == ["2001:db8:1:2::9", "203.0.113.4", "2001:db8:1:3::1"])
    let many = (0..<200).map { index in
      Candidate(
        address: SocketAddress(ipv4: 0xcb00_7100 + UInt32(index % 50), port: 9), kind: .reflexive)
    }
    let chosen = try filter().admitted(many)
    #expect(chosen.count == CandidateSet.countMax && Set(chosen).count == chosen.count)
  }
}
