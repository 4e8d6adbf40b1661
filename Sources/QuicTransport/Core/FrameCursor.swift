/// Walks frames one by one.
struct FrameCursor {
  /// What is left of the payload.
  var rest: UnsafeRawBufferPointer.SubSequence

  /// RFC 9000 §16.
  mutating func integer() -> UInt64? {
    guard let first = rest.first else { return nil }
    let count = 1 << Int(first >> 6)
    guard rest.count >= count else { return nil }
    var value = UInt64(first & 0x3f)
    for byte in rest.dropFirst().prefix(count - 1) { value = value << 8 | UInt64(byte) }
    rest = rest.dropFirst(count)
    return value
  }

  mutating func skipPadding() {
    rest = rest.drop { $0 == 0 }
  }

  mutating func skip(_ count: UInt64) -> Bool {
    guard count <= UInt64(rest.count) else { return false }
    rest = rest.dropFirst(Int(count))
    return true
  }

  mutating func skipIntegers(_ count: UInt64) -> Bool {
    // Each one takes a byte at least.
    guard count <= UInt64(rest.count) else { return false }
    for _ in 0..<count where integer() == nil { return false }
    return true
  }

  /// A length and as many bytes.
  mutating func skipCounted() -> Bool {
    guard let count = integer() else { return false }
    return skip(count)
  }

  /// RFC 9000 §19 and RFC 9221 §4; false at the end of the packet.
  mutating func skipBody(of type: UInt64) -> Bool {
    switch type {
    case 0x00, 0x01, 0x1e: true  // PADDING, PING, HANDSHAKE_DONE
    case 0x02, 0x03: acknowledgement(hasCounts: type == 0x03) != nil
    case 0x04: skipIntegers(3)  // RESET_STREAM
    case 0x06: skipIntegers(1) && skipCounted()  // CRYPTO
    case 0x07, 0x31: skipCounted()  // NEW_TOKEN, DATAGRAM with a length
    case 0x08...0x0f: skipStream(flags: type)
    case 0x10, 0x12, 0x13, 0x14, 0x16, 0x17, 0x19: skipIntegers(1)
    case 0x11, 0x15: skipIntegers(2)
    case 0x18: skipIntegers(2) && skipConnectionID()  // NEW_CONNECTION_ID
    case 0x1a, 0x1b: skip(8)  // PATH_CHALLENGE, PATH_RESPONSE
    default: false  // CONNECTION_CLOSE, DATAGRAM to the end, and what nobody knows
    }
  }

  /// The body of an ACK frame (RFC 9000 §19.3): the largest packet that it acknowledges, or nil where
  /// its ranges reach below zero.
  mutating func acknowledgement(hasCounts: Bool) -> UInt64? {
    guard let largest = integer(), skipIntegers(1), let ranges = integer(),
      ranges <= UInt64(rest.count), let first = integer(), first <= largest
    else { return nil }
    var smallest = largest - first
    for _ in 0..<ranges {
      guard let gap = integer(), let length = integer(), gap + 2 + length <= smallest else {
        return nil
      }
      smallest -= gap + 2 + length
    }
    return skipIntegers(hasCounts ? 3 : 0) ? largest : nil
  }

  private mutating func skipStream(flags: UInt64) -> Bool {
    guard skipIntegers(flags & 0x04 != 0 ? 2 : 1) else { return false }
    // Without a length the data reach to the end of the packet.
    return flags & 0x02 != 0 && skipCounted()
  }

  private mutating func skipConnectionID() -> Bool {
    guard let count = rest.first else { return false }
    return skip(1 + UInt64(count) + UInt64(ResetToken.byteCount))
  }
}
