/// What carries a path's datagrams.
public enum CarrierKind: Int, Comparable, Sendable, CaseIterable {
  /// UDP, straight.
  case udp
  /// TLS over TCP.
  case tcp
  /// WebSocket over TLS over TCP.
  case webSocket

  /// Those that cost less come first.
  public static func < (left: CarrierKind, right: CarrierKind) -> Bool {
    left.rawValue < right.rawValue
  }
}
