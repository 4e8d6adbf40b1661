internal import CNgtcp2

/// Holds back 1-RTT packets that reach a client before it has answered the server's handshake.
///
/// A server may send them early, but a NEW_CONNECTION_ID among them aborts ngtcp2 1.11 (F2). A
/// datagram may carry them behind long-header packets, so it is cut at the first short header; what
/// was cut off is replayed after the answer. RFC 9000 §5.7 lets us drop what does not fit.
struct EarlyPacketGuard {
  private(set) var held: [Held] = []

  struct Held {
    let bytes: [UInt8]
    let path: NetworkPath
    let ecn: ECN
  }

  /// How many bytes of `datagram` may be given to ngtcp2 now; the rest is kept for later.
  mutating func admit(_ datagram: ReceivedDatagram) -> Int {
    let length = Self.longHeaderLength(datagram.bytes)
    if length < datagram.bytes.count, held.count < Self.heldMax {
      held.append(
        Held(bytes: Array(datagram.bytes[length...]), path: datagram.path, ecn: datagram.ecn))
    }
    return length
  }

  /// Hands out what was held, once.
  mutating func takeHeld() -> [Held] {
    defer { held = [] }
    return held
  }

  /// The bytes at the front that are whole long-header packets (RFC 9000 §17.2).
  static func longHeaderLength(_ datagram: UnsafeRawBufferPointer) -> Int {
    var offset = 0
    while offset < datagram.count, datagram[offset] & 0x80 != 0 {
      var header = ngtcp2_pkt_hd()
      let rest = UnsafeRawBufferPointer(rebasing: datagram[offset...])
      let bytes = rest.baseAddress?.assumingMemoryBound(to: UInt8.self)
      let headerLength = ngtcp2_pkt_decode_hd_long(&header, bytes, rest.count)
      // Malformed or of a kind without a length: the datagram ends here, and ngtcp2 judges it. A
      // length of zero is no such end: ngtcp2 skips the packet and reads on behind it.
      guard headerLength > 0, hasLength(header) else { return datagram.count }
      let (length, overflow) = Int(headerLength).addingReportingOverflow(header.len)
      guard !overflow, length <= rest.count else { return datagram.count }
      offset += length
    }
    return offset
  }

  private static func hasLength(_ header: ngtcp2_pkt_hd) -> Bool {
    let type = UInt32(header.type)
    return type != NGTCP2_PKT_RETRY.rawValue && type != NGTCP2_PKT_VERSION_NEGOTIATION.rawValue
  }

  private static let heldMax = 8
}
