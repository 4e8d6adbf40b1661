/// Writes the body of a request as HTTP/1.1 frames it, and checks it against the length that was told
/// (RFC 9114 §4.1.2).
struct RequestBodyWriter {
  /// For a length, so many bytes that are still to come.
  private var left: UInt64
  private let isChunked: Bool

  init(_ framing: BodyFraming) {
    switch framing {
    case .length(let count): (left, isChunked) = (count, false)
    case .chunked, .untilClose: (left, isChunked) = (0, true)
    }
  }

  /// What goes on for some of the body; nil for more than there may be.
  mutating func data(_ bytes: [UInt8]) -> [UInt8]? {
    // A chunk of nothing would be the last one (RFC 9112 §7.1).
    guard !bytes.isEmpty else { return [] }
    if isChunked {
      return Array("\(String(bytes.count, radix: 16))\r\n".utf8) + bytes + [0x0d, 0x0a]
    }
    guard UInt64(bytes.count) <= left else { return nil }
    left -= UInt64(bytes.count)
    return bytes
  }

  /// What goes on at the end; nil where some of the body is missing.
  func end() -> [UInt8]? {
    if isChunked { return Array("0\r\n\r\n".utf8) }
    return left == 0 ? [] : nil
  }
}
