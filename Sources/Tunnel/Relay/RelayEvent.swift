public import QuicTransport

/// What a relay tells its owner while it runs.
public enum RelayEvent: Sendable {
  /// A node greeted; where it is seen.
  case nodeConnected(PublicKey, SocketAddress)
  case nodeGone(PublicKey)
  /// The relay listens for a node; where, for people.
  case listening(PublicKey, String)
  /// A node may not have what it asked for.
  case listenRefused(PublicKey, PublicStatus)
  /// A file that says who may listen cannot be used; what was read last stands in.
  case accessFileUnusable(AccessProblem)
  /// Leases cannot be written down, or, with nil, can be again.
  case leasesUnwritable(AccessFileError?)
  /// The certificate for visitors was read again.
  case certificateRenewed(file: String)
  /// It changed, and cannot be used as it is; the one from before stands in.
  case certificateUnusable(file: String, reason: String)
}

/// The sums of a relay since it began.
public struct RelayTotals: Sendable {
  /// Nodes that are connected now.
  public var nodesOpen = 0
  /// Nodes in all; one that comes back counts again.
  public var nodes = 0
  /// Pairs that were introduced with the consent of the registered side.
  public var introductions = 0

  /// All zero.
  public init() {}
}
