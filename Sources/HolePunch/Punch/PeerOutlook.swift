public import QuicTransport

/// What a network will allow towards peers in networks of common kinds: `PunchStrategy`'s table, read
/// from one side.
public struct PeerOutlook: Equatable, Sendable {
  /// The kind of network that the peer is in.
  public var peer: PeerKind
  /// Whether packets will go directly.
  public var verdict: Verdict
  /// How; nil where too little is known.
  public var mode: PunchMode?

  /// Networks that peers are in.
  public enum PeerKind: String, Sendable, CaseIterable {
    /// A public address without a filter, or a port that is mapped.
    case open
    /// One outside port for all, open to whom was sent to: most routers at home.
    case home
    /// Another outside port for each peer, in a row.
    case regular
    /// Another outside port for each peer, without any order.
    case random
    /// UDP does not pass.
    case blocked

    /// What such a network reports of itself.
    var report: NATReport {
      switch self {
      case .open: return NATReport(mapping: .none, filtering: .endpointIndependent)
      case .home:
        return NATReport(mapping: .endpointIndependent, filtering: .addressAndPortDependent)
      case .regular:
        var report = NATReport(
          mapping: .addressAndPortDependent, filtering: .addressAndPortDependent, portDelta: 1)
        report.lastPort = 40_000
        return report
      case .random:
        return NATReport(mapping: .addressAndPortDependent, filtering: .addressAndPortDependent)
      case .blocked:
        var report = NATReport()
        report.isUDPBlocked = true
        return report
      }
    }
  }

  /// Whether packets will go directly.
  public enum Verdict: String, Sendable {
    case yes
    /// Ports have to be guessed, which succeeds nearly always.
    case likely
    case no
    /// Our own network is not known well enough.
    case unknown
  }

  /// What to expect, for each kind of peer.
  ///
  /// - Parameter mapped: an address of the gateway that leads to us, if there is one.
  public static func all(_ report: NATReport, mapped: SocketAddress?) -> [PeerOutlook] {
    PeerKind.allCases.map { outlook(report, mapped: mapped, peer: $0) }
  }

  private static func outlook(
    _ report: NATReport, mapped: SocketAddress?, peer: PeerKind
  ) -> PeerOutlook {
    var own = report
    // Peers send to the mapped port, and the gateway lets them all in.
    if let mapped, mapped.isPublic, !own.isUDPBlocked {
      own = NATReport(mapping: .endpointIndependent, filtering: .endpointIndependent)
    }
    let mode = PunchStrategy.choose(first: own, second: peer.report).mode
    // What is not known counts as the better kind there, for it costs nothing to try.
    if own.mapping == .unknown, mode != .blocked {
      return PeerOutlook(peer: peer, verdict: .unknown, mode: nil)
    }
    let verdict: Verdict =
      switch mode {
      case .plain, .primed: .yes
      case .predict, .birthday: .likely
      case .relay, .blocked: .no
      }
    return PeerOutlook(peer: peer, verdict: verdict, mode: mode)
  }
}

extension SocketAddress {
  /// Whether the whole internet knows it: no private, local or shared (RFC 6598) address.
  public var isPublic: Bool {
    guard isUsable, !isPrivate, !isLinkLocal, !isLoopback else { return false }
    guard let ipv4 else { return high >> 61 == 1 }
    return ipv4 >> 22 != 0x6440 >> 6
  }
}
