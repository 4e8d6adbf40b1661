/// The 16 bytes at the end of a stateless reset that prove who sent it (RFC 9000 §10.3).
struct ResetToken: Hashable {
  private let high: UInt64
  private let low: UInt64

  static let byteCount = 16

  /// The token at the end of a datagram; nil for one too short to be a stateless reset.
  init?(endOf datagram: UnsafeRawBufferPointer) {
    // RFC 9000 §10.3: five bytes that look like a short header, then the token.
    guard datagram.count >= 5 + Self.byteCount else { return nil }
    let start = datagram.count - Self.byteCount
    high = datagram.loadUnaligned(fromByteOffset: start, as: UInt64.self)
    low = datagram.loadUnaligned(fromByteOffset: start + 8, as: UInt64.self)
  }

  /// - Parameter bytes: 16 of them.
  init(_ bytes: UnsafeRawBufferPointer) {
    precondition(bytes.count == Self.byteCount)
    high = bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self)
    low = bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
  }
}
