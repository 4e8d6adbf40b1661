/// Finds STOP_SENDING frames (RFC 9000 §19.5) in the plaintext of 1-RTT packets.
///
/// ngtcp2 1.11 answers the frame by itself and tells its application only when that next writes to
/// the stream, and never the code; a flow with nothing to send would not notice. (Its
/// `stream_stop_sending` callback is about frames that we send.)
enum FrameScanner {
  /// Calls `found` with the stream and the code of each frame, up to the first malformed frame;
  /// ngtcp2 closes the connection for that one.
  static func scan(_ payload: UnsafeRawBufferPointer, found: (StreamID, UInt64) -> Void) {
    var cursor = Cursor(rest: payload[...])
    while let type = cursor.integer() {
      if type == stopSending {
        guard let id = cursor.integer(), let code = cursor.integer() else { return }
        found(StreamID(number: Int64(id)), code)
      } else if !cursor.skipBody(of: type) {
        return
      }
    }
  }

  private static let stopSending: UInt64 = 0x05

  private struct Cursor {
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
      case 0x02, 0x03: skipAcknowledgement(hasCounts: type == 0x03)
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

    private mutating func skipAcknowledgement(hasCounts: Bool) -> Bool {
      guard skipIntegers(2), let ranges = integer(), ranges <= UInt64(rest.count) else {
        return false
      }
      return skipIntegers(1 + 2 * ranges + (hasCounts ? 3 : 0))
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
}
