/// What a public listener of a relay takes.
public enum PublicKind: String, CaseIterable, Sendable {
  /// TCP connections at a port of its own.
  case tcp
  /// UDP datagrams at a port of its own.
  case udp
  /// HTTP connections at a port that shares have in common, told apart by the host that they name.
  case http
  /// TLS connections at such a port, told apart by the server name of the hello and not opened.
  case tls

  /// On the wire.
  var number: UInt64 {
    switch self {
    case .tcp: 1
    case .udp: 2
    case .http: 3
    case .tls: 4
    }
  }

  init?(number: UInt64) {
    guard let kind = Self.allCases.first(where: { $0.number == number }) else { return nil }
    self = kind
  }

  /// Whether it is asked for by name rather than by port.
  public var hasName: Bool { self == .http || self == .tls }
}
