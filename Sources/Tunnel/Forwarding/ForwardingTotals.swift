/// Sums of a forwarder since it began.
public struct ForwardingTotals: Sendable {
  /// Sessions in all, and those that are open.
  public internal(set) var sessions = 0
  /// Sessions that are open.
  public internal(set) var sessionsOpen = 0
  /// Datagrams that were forwarded.
  public var datagrams: UInt64 { carriers.reduce(0) { $0 + $1.datagrams } }
  /// Bytes of them, without our header.
  public var bytes: UInt64 { carriers.reduce(0) { $0 + $1.bytes } }
  /// Legs that moved to another address.
  public internal(set) var bindings = 0
  /// Messages that would have moved a leg, and came too fast.
  public internal(set) var bindingsThrottled: UInt64 = 0
  /// Datagrams of no session, or from no leg of it.
  public internal(set) var datagramsUnknown: UInt64 = 0
  /// Lost because a session, an identity, an address or a token sent more than it may.
  public internal(set) var datagramsThrottled: UInt64 = 0
  /// Lost because the relay had more to send than it may.
  public internal(set) var datagramsCrowdedOut: UInt64 = 0

  /// By what carried them to the node; in the order of `CarrierKind`.
  private var carriers = [Traffic](repeating: Traffic(), count: CarrierKind.allCases.count)
  /// In the order of `ForwardingRate`.
  var throttled = [UInt64](repeating: 0, count: ForwardingRate.allCases.count)

  /// Datagrams and their bytes, without our header.
  public struct Traffic: Equatable, Sendable {
    /// How many.
    public internal(set) var datagrams: UInt64 = 0
    /// Of all of them.
    public internal(set) var bytes: UInt64 = 0
  }

  /// All zero.
  public init() {}

  /// What went to nodes over such carriers.
  public func traffic(over kind: CarrierKind) -> Traffic {
    carriers[kind.rawValue]
  }

  /// Datagrams that were lost because this rate was used up.
  public func throttled(by rate: ForwardingRate) -> UInt64 { throttled[rate.rawValue] }

  mutating func count(_ bytes: Int, over kind: CarrierKind) {
    carriers[kind.rawValue].datagrams += 1
    carriers[kind.rawValue].bytes += UInt64(bytes)
  }
}

/// What a datagram may be too much for.
public enum ForwardingRate: Int, CaseIterable, Sendable {
  case session
  case identity
  case address
  case token
}
