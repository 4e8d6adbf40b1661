public import QuicTransport

/// What a relay tells its owner while it runs.
public enum RelayEvent: Sendable {
  /// A node greeted; where it is seen.
  case nodeConnected(PublicKey, SocketAddress)
  /// A node showed a token that is good; its name.
  case nodeAdmitted(PublicKey, RelayTokenID)
  case nodeGone(PublicKey)
  /// A node has no right to what it asked for, or no longer; told of a source now and then only.
  case nodeDismissed(PublicKey, SocketAddress, RelayDenial)
  /// A file that says who may use the relay cannot be used.
  case accessFileUnusable(AccessProblem)
  /// The relay listens for a node; where, for people.
  case listening(PublicKey, String)
  /// A node may not have what it asked for.
  case listenRefused(PublicKey, PublicStatus)
  /// A node says that its target fails its health check, or passes it again; where, for people, and
  /// how many of those who share the place can serve now.
  case memberHealth(PublicKey, String, isUp: Bool, able: Int, of: Int)
  /// Leases cannot be written down, or, with nil, can be again.
  case leasesUnwritable(AccessFileError?)
  /// The certificate for visitors was read again.
  case certificateRenewed(file: String)
  /// It changed, and cannot be used as it is; the one from before stands in.
  case certificateUnusable(file: String, reason: String)
  /// HTTPS is served, and HTTP/3 is not: its UDP port cannot be had.
  case http3Unavailable(SocketAddress, RuntimeError)
}

/// The sums of a relay since it began.
public struct RelayTotals: Sendable {
  /// Nodes that are connected now.
  public internal(set) var nodesOpen = 0
  /// Nodes that can be found now.
  public internal(set) var nodesRegistered = 0
  /// Connections whose handshake is not done.
  public internal(set) var handshakesOpen = 0
  /// Tokens that were looked at and are good.
  public internal(set) var tokensGood: UInt64 = 0
  /// Tokens that were looked at and are not.
  public internal(set) var tokensBad: UInt64 = 0
  /// Nodes in all; one that comes back counts again.
  public internal(set) var nodes = 0
  /// Pairs that were introduced with the consent of the registered side.
  public internal(set) var introductions = 0
  /// Introductions that are open now, asked for or agreed to.
  public internal(set) var introductionsOpen = 0
  /// Nodes and requests that were turned away.
  public internal(set) var refusals: [Refusal: UInt64] = [:]
  /// Requests that came too fast or were too many, and may come again.
  public internal(set) var throttles: [Throttle: UInt64] = [:]
  /// Of the datagrams that nodes send each other.
  public internal(set) var forwarding = ForwardingTotals()
  /// Of public listeners; nil where there can be none.
  public internal(set) var listening: PublicTotals?
  /// Whether the relay is about to stop.
  public internal(set) var isDraining = false

  /// Why somebody was turned away.
  public enum Refusal: Hashable, Sendable {
    /// As many nodes as the relay takes.
    case nodes
    case nodesOfAddress
    /// It neither showed a right nor looked for anybody.
    case idle
    /// More messages than any honest node sends.
    case flood
    case draining
    /// Too many wrong tokens came from its address for its own to be looked at.
    case tokens
    case denied(RelayDenial)
    /// No legs for two nodes.
    case forwarding(RelayRefusal)
  }

  /// What was throttled.
  public enum Throttle: String, Sendable, CaseIterable {
    case finds
    case introductions
    case tokens
  }

  /// A token was judged, or not yet.
  mutating func count(_ verdict: RelayGate.Verdict) {
    switch verdict {
    case .admitted: tokensGood += 1
    case .refused: tokensBad += 1
    case .later: throttles[.tokens, default: 0] += 1
    case .full: break
    }
  }

  /// All zero.
  public init() {}
}
