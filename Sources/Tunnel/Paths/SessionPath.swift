public import QuicTransport

/// How a session is connected, for people and programs.
public struct SessionPath: Hashable, Sendable {
  /// What carries its packets.
  public let carrier: CarrierKind
  /// The UDP or TCP address of the peer, or of whatever stands before it.
  public let remote: SocketAddress

  /// A path of a known kind.
  public init(carrier: CarrierKind, remote: SocketAddress) {
    self.carrier = carrier
    self.remote = remote
  }
}
