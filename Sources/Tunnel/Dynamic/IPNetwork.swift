internal import QuicTransport

/// A range of addresses with a common prefix (RFC 4632, RFC 4291 §2.3). IPv4 is kept in its mapped
/// form, as in `SocketAddress`.
struct IPNetwork: Hashable, Sendable {
  /// The first address.
  let high: UInt64
  let low: UInt64
  /// Of 128 bits; 96 more than written for IPv4.
  let prefixLength: Int

  /// The network of that length that `address` is in.
  init(_ address: SocketAddress, prefixLength: Int) {
    precondition((0...128).contains(prefixLength))
    let masks = Self.masks(prefixLength)
    high = address.high & masks.high
    low = address.low & masks.low
    self.prefixLength = prefixLength
  }

  /// Reads `10.0.0.0/8` or `2001:db8::/32`; without a slash it is one address. nil for anything
  /// else, also where bits behind the prefix are set: that is a slip more often than not.
  init?(_ text: some StringProtocol) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard !parts[0].contains("%"), let address = SocketAddress(String(parts[0]), port: 0) else {
      return nil
    }
    let isIPv4 = !parts[0].contains(":")
    var length = 128
    if parts.count == 2 {
      guard (1...3).contains(parts[1].utf8.count),
        parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(parts[1]),
        number <= (isIPv4 ? 32 : 128)
      else { return nil }
      length = isIPv4 ? number + Self.mappedLength : number
    }
    self.init(address, prefixLength: length)
    guard high == address.high, low == address.low else { return nil }
  }

  /// For the tables in the source.
  init(literal text: StaticString) {
    guard let network = IPNetwork(text.description) else {
      preconditionFailure("not a network: \(text)")
    }
    self = network
  }

  /// Whether the address is in it, whatever its port and zone.
  func contains(_ address: SocketAddress) -> Bool {
    let masks = Self.masks(prefixLength)
    return address.high & masks.high == high && address.low & masks.low == low
  }

  /// Whether all of `other` is in it.
  func contains(_ other: IPNetwork) -> Bool {
    other.prefixLength >= prefixLength
      && contains(SocketAddress(high: other.high, low: other.low, port: 0))
  }

  private static func masks(_ length: Int) -> (high: UInt64, low: UInt64) {
    // Shifting by 64 or more gives zero (`<<` of Swift is smart in this way).
    (~0 << UInt64(max(0, 64 - length)), length <= 64 ? 0 : ~0 << UInt64(128 - length))
  }

  private static let mappedLength = 96
}
