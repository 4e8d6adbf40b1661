internal import QuicTransport

/// Addresses that stand for roads which have none, and for the generations of a session's path.
///
/// They are from a unique local prefix (RFC 4193) that no interface of ours has. They never leave
/// the process.
enum PathLabel {
  /// fd71:7475:6e00::/48
  private static let prefix: UInt64 = 0xfd71_7475_6e00_0000

  /// What QUIC sees as its path after the switch with this number. Both addresses differ from those
  /// of every other generation: ngtcp2 asks for it, and starts its congestion state afresh.
  static func generation(_ number: UInt64, isServer: Bool) -> NetworkPath {
    let client = SocketAddress(high: prefix | 1, low: number << 1, port: 1)
    let server = SocketAddress(high: prefix | 1, low: number << 1 | 1, port: 1)
    return isServer
      ? NetworkPath(local: server, remote: client) : NetworkPath(local: client, remote: server)
  }

  /// Whether an address is one of ours, which nobody outside of the process knows.
  static func isSynthetic(_ address: SocketAddress) -> Bool { address.high >> 16 == prefix >> 16 }

  /// The path of a carrier that is a byte stream, whose `number` is unique in this process, or of a
  /// leg through a relay, whose `number` is unique in this endpoint.
  static func carrier(_ number: UInt64, kind: CarrierKind) -> NetworkPath {
    precondition(kind != .udp, "UDP has addresses of its own")
    let high = prefix | firstCarrier + UInt64(kind.rawValue)
    return NetworkPath(
      local: SocketAddress(high: high, low: number << 1, port: 1),
      remote: SocketAddress(high: high, low: number << 1 | 1, port: 1))
  }

  /// The kind of the carrier whose label this is; nil for a path of another sort.
  static func carrierKind(_ path: NetworkPath) -> CarrierKind? {
    guard path.local.high > prefix | firstCarrier else { return nil }
    return CarrierKind(rawValue: Int(clamping: path.local.high - (prefix | firstCarrier)))
  }

  /// The number of the byte stream whose label this is; nil for a path of another sort. Legs through
  /// relays are numbered apart.
  static func carrierNumber(_ path: NetworkPath) -> UInt64? {
    guard let kind = carrierKind(path), kind != .relay else { return nil }
    return path.local.low >> 1
  }

  /// The first subnet that carriers have, less the kind that has none.
  private static let firstCarrier: UInt64 = 0x10
}
