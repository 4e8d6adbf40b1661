import HolePunch
import QuicTransport
import Testing

@testable import qtun

@Suite("Network report")
struct NetworkReportTests {
  private static let server = HostPort(host: .name("stun.example"), port: 3_478)
  private static let gateway = SocketAddress(ipv4: 0xc0a8_0101, port: 0)

  private func facts(
    _ report: NATReport, reflexive: String = "203.0.113.9",
    mapped: NetworkFacts.PortMapping = .refused
  ) -> NetworkFacts {
    var facts = NetworkFacts(interfaces: [], gateway: Self.gateway)
    let outside = SocketAddress(reflexive, port: 7_000)
    facts.ipv4.reflexive = [outside].compactMap(\.self)
    facts.ipv4.report = report
    facts.servers = [NetworkFacts.Server(name: Self.server, mapped: outside)]
    facts.portMapping = mapped
    return facts
  }

  private func mapping(_ text: String) -> NetworkFacts.PortMapping {
    .mapped(
      PortMapper.Mapping(
        outside: SocketAddress(text, port: 7_000) ?? .any, by: .upnp, expires: .distantFuture))
  }

  private static let home = NATReport(
    mapping: .endpointIndependent, filtering: .addressAndPortDependent)

  @Test("a closed router is to be opened, by its settings or by hand")
  func closed() {
    let lines = NetworkAdvice.lines(facts(Self.home))
    #expect(lines.count == 1)
    #expect(lines[0].contains("Turn on UPnP") && lines[0].contains("UDP port 4433"))
    #expect(lines[0].contains("192.168.1.1"))
  }

  @Test("a port that is mapped, a public address, or an open NAT need nothing")
  func open() {
    let nothing = ["Nothing: this network is as good as any."]
    #expect(NetworkAdvice.lines(facts(Self.home, mapped: mapping("203.0.113.9"))) == nothing)
    let open = NATReport(mapping: .none, filtering: .endpointIndependent)
    #expect(NetworkAdvice.lines(facts(open)) == nothing)
  }

  @Test("a mapped port inside of another NAT is told, and promises nothing")
  func twoRouters() {
    for inner in ["10.0.0.7", "100.64.3.4", "198.51.100.1"] {
      let facts = facts(Self.home, mapped: mapping(inner))
      #expect(facts.isBehindTwoRouters)
      #expect(NetworkAdvice.lines(facts)[0].contains("another NAT"))
      #expect(facts.outlook == PeerOutlook.all(Self.home, mapped: nil))
    }
    #expect(!facts(Self.home, mapped: mapping("203.0.113.9")).isBehindTwoRouters)
  }

  @Test("servers that do not answer mean that UDP is blocked; none mean that nothing is known")
  func blocked() {
    var facts = facts(NATReport())
    facts.servers[0].mapped = nil
    facts.ipv4.reflexive = []
    #expect(facts.passesUDP == false)
    #expect(facts.outlook.allSatisfy { $0.verdict == .no })
    #expect(NetworkAdvice.lines(facts)[0].hasPrefix("Let UDP out"))
    facts.servers = []
    #expect(facts.passesUDP == nil)
    #expect(NetworkAdvice.lines(facts)[0].contains("--stun"))
    #expect(NetworkReport(facts: facts).json.contains(#""udp":null"#))
  }

  @Test("the page has the facts, what they mean for peers, and what to do")
  func page() {
    let text = NetworkReport(facts: facts(Self.home)).text
    for part in [
      "seen from outside as 203.0.113.9:7000", "endpoint-independent",
      "the router does not offer it",
      "router with random ports", "nearly always: by trying many ports", "What to change:",
    ] {
      #expect(text.contains(part), "\(part)")
    }
    #expect(text.split(separator: "\n").allSatisfy { $0.count <= 80 })
  }
}
