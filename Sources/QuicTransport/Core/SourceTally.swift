/// Counts something by where it comes from, so that nobody takes what is meant for all.
public struct SourceTally {
  private var counts: [SocketAddress: Int] = [:]
  /// Of all sources.
  public private(set) var total = 0

  /// Empty.
  public init() {}

  /// One more from this address.
  public mutating func add(_ address: SocketAddress) {
    counts[address.source, default: 0] += 1
    total += 1
  }

  /// One less; it must have been added.
  public mutating func remove(_ address: SocketAddress) {
    guard let count = counts[address.source] else { preconditionFailure("nothing to remove") }
    counts[address.source] = count > 1 ? count - 1 : nil
    total -= 1
  }

  /// How many there are from the source of this address.
  public func count(of address: SocketAddress) -> Int { counts[address.source] ?? 0 }
}

extension SocketAddress {
  /// Who is behind an address, as far as it tells: an IPv4 address, or the /64 of an IPv6 address,
  /// of which a single host has as many addresses as it likes (RFC 8981).
  public var source: SocketAddress {
    SocketAddress(high: high, low: isIPv4 ? low : 0, port: 0)
  }
}
