/// Where a server would rather be talked to than where it was dialled: at most one address of each
/// family (RFC 9000 §18.2).
public struct PreferredAddress: Hashable, Sendable {
  /// An IPv4 address and port.
  public let ipv4: SocketAddress?
  /// An IPv6 address and port.
  public let ipv6: SocketAddress?

  /// The first address of each family that a client could be told of; nil if there is none.
  public init?(of addresses: [SocketAddress]) {
    // RFC 9000 §18.2: all zeros mean that there is none.
    let usable = addresses.filter { !$0.isUnspecified && $0.port != 0 }
    ipv4 = usable.first { $0.isIPv4 }
    ipv6 = usable.first { !$0.isIPv4 }
    if ipv4 == nil, ipv6 == nil { return nil }
  }

  /// The address to move to for a client that now talks to `current`: its family is known to pass, so
  /// it comes first.
  ///
  /// A server on the open internet has no business with what is near its client: an address of narrower
  /// reach than `current` is left out (RFC 9000 §21.5.3).
  func choice(insteadOf current: SocketAddress) -> SocketAddress? {
    let both = current.isIPv4 ? [ipv4, ipv6] : [ipv6, ipv4]
    return both.compactMap { $0 }.first { address in
      !address.isMulticast && address.reach >= current.reach
    }
  }
}

extension SocketAddress {
  /// 224.0.0.0/4 or ff00::/8
  fileprivate var isMulticast: Bool {
    ipv4.map { $0 >> 28 == 0xe } ?? (high >> 56 == 0xff)
  }

  /// From how far away it can be reached: a larger number is farther.
  fileprivate var reach: Int {
    if isLoopback { return 0 }
    if isLinkLocal { return 1 }
    return isPrivate ? 2 : 3
  }
}
