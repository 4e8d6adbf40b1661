public import QuicTransport

/// A relay that a share or a link knows, as it is right now.
public struct RelayReport: Equatable, Sendable {
  /// What it proves.
  public var key: PublicKey
  /// Where it is; nil where it was never reached.
  public var address: SocketAddress?
  /// What it is good for now.
  public var standing: Standing
  /// The round trip to it.
  public var roundTrip: Duration?
  /// The round trip to the peer by it: what relays are chosen by (connecting side).
  public var sessionRoundTrip: Duration?

  /// What a relay is good for.
  public enum Standing: Equatable, Sendable {
    /// The session goes by it.
    case carries
    /// The session has a road by it, for the day that its own fails.
    case warm
    /// It is connected, and could be asked.
    case spare
    /// We can be found there (sharing side).
    case registered
    /// It is about to stop.
    case restarting
    /// It does not answer, or not yet.
    case away
  }
}
