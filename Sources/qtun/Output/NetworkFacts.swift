internal import HolePunch
internal import QuicTransport

/// What a measurement of the network found.
struct NetworkFacts {
  /// This machine's addresses without loopback.
  var interfaces: [SocketAddress]
  /// The router, for IPv4.
  var gateway: SocketAddress?
  var ipv4 = Family()
  var ipv6 = Family()
  /// Whom the user named, once for each address that was asked.
  var servers: [Server] = []
  var portMapping = PortMapping.notAsked

  /// One protocol family.
  struct Family {
    /// What servers saw, newest last.
    var reflexive: [SocketAddress] = []
    var report = NATReport()

    init() {}

    init(_ probe: NATProbe) {
      reflexive = probe.reflexive
      report = probe.report
    }
  }

  /// A STUN server.
  struct Server {
    var name: HostPort
    var address: SocketAddress?
    var mapped: SocketAddress?
    var roundTrip: Duration?
    var problem: String?
  }

  /// What came of asking the router for a port.
  enum PortMapping: Equatable {
    case notAsked
    /// There is no default route for IPv4.
    case noRouter
    /// It does not do this, or did not want to.
    case refused
    case mapped(PortMapper.Mapping)
  }

  init(interfaces: [SocketAddress], gateway: SocketAddress?) {
    self.interfaces = interfaces
    self.gateway = gateway
  }

  /// Whether UDP reaches servers; nil where none was named.
  var passesUDP: Bool? {
    if servers.contains(where: { $0.mapped != nil }) { return true }
    return servers.isEmpty ? nil : false
  }

  /// The report that says what peers will meet: that of IPv4, which has the NATs, where there is one.
  var report: NATReport {
    var report = ipv4.reflexive.isEmpty && !ipv6.reflexive.isEmpty ? ipv6.report : ipv4.report
    report.isUDPBlocked = passesUDP == false
    return report
  }

  /// The gateway's address that leads here.
  var mapped: PortMapper.Mapping? {
    if case .mapped(let mapping) = portMapping { mapping } else { nil }
  }

  /// The mapped address is not the one that the internet sees: the router stands behind another NAT.
  var isBehindTwoRouters: Bool {
    guard let mapped else { return false }
    guard mapped.outside.isPublic else { return true }
    return !ipv4.reflexive.isEmpty
      && !ipv4.reflexive.contains { $0.with(port: 0) == mapped.outside.with(port: 0) }
  }

  /// What to expect of peers.
  var outlook: [PeerOutlook] {
    PeerOutlook.all(report, mapped: isBehindTwoRouters ? nil : mapped?.outside)
  }
}
