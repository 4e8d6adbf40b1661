/// Finds datagrams in a byte stream that carries them with their length in front. Sans-I/O.
///
///     frame: length (2 bytes, most significant first, not zero), datagram
struct FrameDecoder {
  /// A frame that has not arrived whole; shorter than one frame of the largest size.
  private var partial: [UInt8] = []

  /// Takes bytes of the stream; hands out whole datagrams, valid during the call.
  ///
  /// - Returns: false when the peer does not follow the framing; the stream is to be closed.
  mutating func decode(
    _ bytes: UnsafeRawBufferPointer, datagram: (UnsafeRawBufferPointer) -> Void
  ) -> Bool {
    var rest = bytes[...]
    // First what was begun, no further than needed.
    while !partial.isEmpty, !rest.isEmpty {
      let needed = partial.count < 2 ? 2 : 2 + Self.length(partial[0], partial[1])
      let part = rest.prefix(needed - partial.count)
      partial.append(contentsOf: part)
      rest = rest.dropFirst(part.count)
      guard partial.count >= 2 else { continue }
      let length = Self.length(partial[0], partial[1])
      guard length > 0 else { return false }
      if partial.count == 2 + length {
        partial.withUnsafeBytes { datagram(UnsafeRawBufferPointer(rebasing: $0[2...])) }
        partial.removeAll(keepingCapacity: true)
      }
    }
    while rest.count >= 2 {
      let length = Self.length(rest[rest.startIndex], rest[rest.startIndex + 1])
      guard length > 0 else { return false }
      guard rest.count >= 2 + length else { break }
      datagram(UnsafeRawBufferPointer(rebasing: rest.dropFirst(2).prefix(length)))
      rest = rest.dropFirst(2 + length)
    }
    partial.append(contentsOf: rest)
    return true
  }

  private static func length(_ high: UInt8, _ low: UInt8) -> Int {
    Int(high) << 8 | Int(low)
  }
}
