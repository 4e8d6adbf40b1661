internal import QuicTransport

/// What carries a path's datagrams.
public enum CarrierKind: Int, Comparable, Sendable, CaseIterable {
  /// UDP, straight.
  case udp
  /// TLS over TCP.
  case tcp
  /// A WebSocket over TLS over TCP.
  case webSocket
  /// Through a relay, however that is reached.
  case relay

  /// Those that cost less come first.
  public static func < (left: CarrierKind, right: CarrierKind) -> Bool {
    left.rawValue < right.rawValue
  }
}

extension CarrierKind {
  /// The kind of the carrier whose label this is; every real address is UDP's.
  init(_ path: NetworkPath) {
    self = PathLabel.carrierKind(path) ?? .udp
  }
}
