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

  /// The path of a leg through a relay; `number` is unique in this endpoint.
  static func relayed(_ number: UInt64) -> NetworkPath {
    NetworkPath(
      local: SocketAddress(high: prefix | 3, low: number << 1, port: 1),
      remote: SocketAddress(high: prefix | 3, low: number << 1 | 1, port: 1))
  }

  static func isRelayed(_ path: NetworkPath) -> Bool { path.local.high == prefix | 3 }

  static func isCarrier(_ path: NetworkPath) -> Bool { path.local.high == prefix | 2 }

  /// The path of a carrier that is a byte stream; `number` is unique in this process.
  static func carrier(_ number: UInt64) -> NetworkPath {
    NetworkPath(
      local: SocketAddress(high: prefix | 2, low: number << 1, port: 1),
      remote: SocketAddress(high: prefix | 2, low: number << 1 | 1, port: 1))
  }
}
