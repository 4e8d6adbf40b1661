public import QuicTransport

/// What two peers say to each other on a path that may not exist. docs/protocol.md has the bytes
/// and test vectors.
///
///     0x2a, version (1), type (1), flags (1), pair (8), round (4), number (4), transaction (12),
///     observed address (16), observed port (2), tag (16): 66 bytes
///
/// Probe and answer have the same size, so no answer is larger than its question.
public struct ProbeMessage: Equatable, Sendable {
  /// Question or answer.
  public var type: MessageType
  /// The first side says that this path is the one.
  public var isChosen: Bool
  /// The plan's.
  public var round: UInt32
  /// Grows with every message of a side in a round, so that a copy is known as one.
  public var number: UInt32
  /// An answer repeats its probe's.
  public var transaction: TransactionID
  /// In an answer: the address that the probe came from. In a probe: unspecified.
  public var observed: SocketAddress

  /// What is said. Types 1 to 5 are path messages of a session, see docs/protocol.md.
  public enum MessageType: UInt8, Sendable {
    case probe = 0x10
    case answer = 0x11
  }

  /// A message.
  public init(
    type: MessageType, isChosen: Bool, round: UInt32, number: UInt32, transaction: TransactionID,
    observed: SocketAddress
  ) {
    self.type = type
    self.isChosen = isChosen
    self.round = round
    self.number = number
    self.transaction = transaction
    self.observed = observed
  }

  /// Bytes of every message.
  public static let byteCount = 66
  static let firstByte: UInt8 = 0x2a
  private static let version: UInt8 = 1
  private static let tagCount = 16
  private static let chosenFlag: UInt8 = 1

  /// The bytes, signed.
  public func encoded(keys: PunchKeys) -> [UInt8] {
    var bytes: [UInt8] = [
      Self.firstByte, Self.version, type.rawValue, isChosen ? Self.chosenFlag : 0,
    ]
    bytes.reserveCapacity(Self.byteCount)
    bytes.append(bigEndian: keys.pair)
    bytes.append(bigEndian: round)
    bytes.append(bigEndian: number)
    bytes += transaction.bytes
    bytes.append(bigEndian: observed.high)
    bytes.append(bigEndian: observed.low)
    bytes.append(bigEndian: observed.port)
    return bytes + Crypto.hmacSHA256(key: keys.sending, bytes).prefix(Self.tagCount)
  }

  /// The pair that a datagram claims to belong to; nil if it is no probe.
  public static func pair(of bytes: [UInt8]) -> UInt64? {
    guard bytes.count == byteCount, bytes[0] == firstByte, bytes[1] == version,
      MessageType(rawValue: bytes[2]) != nil
    else { return nil }
    var reader = BigEndianReader(bytes[4..<12])
    return reader.uint64()
  }

  /// Checks the tag first, in constant time; nil for anything that the peer did not make.
  public init?(_ bytes: [UInt8], keys: PunchKeys) {
    guard Self.pair(of: bytes) == keys.pair, let type = MessageType(rawValue: bytes[2]) else {
      return nil
    }
    let content = Array(bytes.dropLast(Self.tagCount))
    let tag = SecretBytes(
      Crypto.hmacSHA256(key: keys.receiving, content).prefix(Self.tagCount))
    let isAuthentic = bytes.withUnsafeBytes { bytes in
      tag.matches(UnsafeRawBufferPointer(rebasing: bytes.suffix(Self.tagCount)))
    }
    guard isAuthentic else { return nil }
    var reader = BigEndianReader(content.dropFirst(12))
    guard let round = reader.uint32(), let number = reader.uint32(),
      let transaction = reader.raw(TransactionID.byteCount).flatMap({ TransactionID($0) }),
      let high = reader.uint64(), let low = reader.uint64(), let port = reader.uint16()
    else { return nil }
    self.init(
      type: type, isChosen: bytes[3] & Self.chosenFlag != 0, round: round, number: number,
      transaction: transaction, observed: SocketAddress(high: high, low: low, port: port))
  }
}
