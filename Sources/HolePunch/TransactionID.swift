/// 96 random bits that tie an answer to its question (RFC 8489 §5): whoever has not seen the
/// question cannot guess them.
public struct TransactionID: Hashable, Sendable {
  let high: UInt64
  let low: UInt32

  /// Bytes of each.
  public static let byteCount = 12

  /// Draws one; the generator has to be fit for keys.
  public init(using random: inout some RandomNumberGenerator) {
    high = random.next()
    low = UInt32(truncatingIfNeeded: random.next())
  }

  /// - Returns: nil unless there are exactly 12 bytes.
  public init?(_ bytes: some Sequence<UInt8>) {
    var reader = BigEndianReader(bytes)
    guard let high = reader.uint64(), let low = reader.uint32(), reader.count == 0 else {
      return nil
    }
    self.high = high
    self.low = low
  }

  /// As they stand on the wire.
  public var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(bigEndian: high)
    bytes.append(bigEndian: low)
    return bytes
  }
}
