/// The public half of an Ed25519 identity (RFC 8032): what names a node.
public struct PublicKey: Hashable, Sendable {
  /// 32 bytes, as RFC 8032 encodes the point.
  public let bytes: [UInt8]

  /// Bytes of every key.
  public static let byteCount = 32

  /// - Returns: nil unless there are exactly 32 bytes.
  public init?(_ bytes: some Sequence<UInt8>) {
    let bytes = Array(bytes)
    guard bytes.count == Self.byteCount else { return nil }
    self.bytes = bytes
  }

  /// The key in a SubjectPublicKeyInfo, which for Ed25519 is this fixed prefix and the key
  /// (RFC 8410 §4). Nil for every other kind of key.
  public init?(subjectPublicKeyInfo info: UnsafeRawBufferPointer) {
    guard info.count == Self.infoPrefix.count + Self.byteCount,
      info.prefix(Self.infoPrefix.count).elementsEqual(Self.infoPrefix)
    else { return nil }
    self.init(info.dropFirst(Self.infoPrefix.count))
  }

  /// SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING ... }
  private static let infoPrefix: [UInt8] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
  ]
}

extension PublicKey: CustomStringConvertible {
  /// 52 letters and digits of lower-case base32.
  public var description: String { Base32.encode(bytes) }
}
