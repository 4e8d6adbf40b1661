internal import QuicTransport

/// Addresses that a rule must name to open them: this machine, its neighbours, and what stands for
/// them in another form (RFC 6890 and the IANA registries of special-purpose addresses).
enum SpecialNetworks {
  /// The narrowest of them that has the address; nil for an address of the public internet.
  static func containing(_ address: SocketAddress) -> IPNetwork? {
    if let network = all.filter({ $0.contains(address) }).max(by: Self.isWider) { return network }
    return embedded(in: address)
  }

  private static func isWider(_ one: IPNetwork, _ other: IPNetwork) -> Bool {
    one.prefixLength < other.prefixLength
  }

  /// An IPv6 address that a gateway turns into an IPv4 one is judged as that.
  private static func embedded(in address: SocketAddress) -> IPNetwork? {
    for (outer, shift) in embeddings where outer.contains(address) {
      let start = outer.prefixLength
      // The 32 bits behind the prefix.
      let bits = UInt32(
        truncatingIfNeeded: start < 64 ? address.high >> shift : address.low >> shift)
      let inner = SocketAddress(ipv4: bits, port: 0)
      guard let network = containing(inner) else { return nil }
      return IPNetwork(address, prefixLength: start + network.prefixLength - 96)
    }
    return nil
  }

  /// The prefixes, and how far right their IPv4 bits are in their half of the address.
  private static let embeddings: [(IPNetwork, shift: UInt64)] = [
    (IPNetwork(literal: "64:ff9b::/96"), 0),  // NAT64, RFC 6052 §2.1
    (IPNetwork(literal: "2002::/16"), 16),  // 6to4, RFC 3056 §2
  ]

  private static let all: [IPNetwork] = [
    // This machine and this network.
    "0.0.0.0/8", "127.0.0.0/8", "::", "::1",
    // Link-local: fe80::/10 and, before RFC 3879, site-local.
    "169.254.0.0/16", "fe80::/10", "fec0::/10",
    // Private: RFC 1918, shared (RFC 6598), RFC 4193.
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7",
    // Protocol assignments and benchmarks (RFC 6890, RFC 2544).
    "192.0.0.0/24", "198.18.0.0/15",
    // Multicast, reserved, broadcast.
    "224.0.0.0/4", "ff00::/8", "240.0.0.0/4", "255.255.255.255",
    // Forms of IPv4 that no gateway of ours should see: compatible (RFC 4291 §2.5.5.1),
    // translated (RFC 2765 §2.1), local NAT64 (RFC 8215), Teredo (RFC 4380).
    "::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "2001::/32",
    // Metadata services of clouds: credentials without a password. One address each, so that a
    // rule for the network around it does not open it.
    "169.254.169.254", "169.254.170.2", "169.254.170.23", "169.254.169.253", "169.254.169.123",
    "fd00:ec2::254", "fd00:ec2::23", "fd00:ec2::253", "fd00:ec2::123", "fd20:ce::254",
    "100.100.100.200", "168.63.129.16", "192.0.0.192",
  ].map { IPNetwork(literal: $0) }
}
