public import QuicTransport

/// Sees and may change or drop everything that a punch machine says and hears: for logs, tests,
/// and further signatures. Called in order for what leaves, in reverse order for what arrives.
public protocol PunchMiddleware: AnyObject {
  /// What shall be sent instead of `bytes`; nil for nothing.
  func outgoing(_ bytes: [UInt8], to destination: SocketAddress) -> [UInt8]?
  /// What the machine shall take for the datagram; nil for nothing.
  func incoming(_ bytes: [UInt8], from source: SocketAddress) -> [UInt8]?
  /// What happened.
  func note(_ event: PunchEvent)
}

extension PunchMiddleware {
  /// Changes nothing.
  public func outgoing(_ bytes: [UInt8], to destination: SocketAddress) -> [UInt8]? { bytes }
  /// Changes nothing.
  public func incoming(_ bytes: [UInt8], from source: SocketAddress) -> [UInt8]? { bytes }
  /// Ignores it.
  public func note(_ event: PunchEvent) {}
}

/// What a `PunchMiddleware` hears of.
public enum PunchEvent: Equatable, Sendable {
  /// A plan is being followed.
  case began(round: UInt32, mode: PunchMode, targets: Int)
  /// The peer's probe arrived.
  case probed(from: SocketAddress, socket: Int)
  /// The peer answered ours.
  case answered(from: SocketAddress, roundTrip: Duration)
  /// A datagram with the pair's number was dropped.
  case dropped(DropReason, from: SocketAddress)

  /// Why.
  public enum DropReason: Equatable, Sendable {
    /// Not signed by the peer. Many of these: do the secrets differ?
    case badSignature
    /// A copy of one that was seen.
    case replayed
    /// Faster than an honest peer asks.
    case tooMany
    /// Answers nothing that was asked there.
    case unexpected
  }
}
