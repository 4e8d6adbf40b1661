/// The sums of a relay's public listeners since it began.
public struct PublicTotals: Equatable, Sendable {
  /// Listeners of nodes now; those that share a place count each.
  public internal(set) var listenersOpen = 0
  /// Those of them whose node says that its target fails the health check.
  public internal(set) var listenersDown = 0
  /// Requests to listen that were refused.
  public internal(set) var listensRefused: UInt64 = 0
  /// Ports and names that belong to somebody now, in use or kept.
  public internal(set) var leases = 0
  /// TCP connections of visitors now.
  public internal(set) var visitorsOpen = 0
  /// TCP connections of visitors in all.
  public internal(set) var visitors: UInt64 = 0
  /// Visitors beyond a limit, or of a name that nobody serves.
  public internal(set) var visitorsRefused: UInt64 = 0

  /// All zero.
  public init() {}
}
