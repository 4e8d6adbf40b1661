internal import QuicTransport

/// The masking of what a WebSocket's client sends (RFC 6455 §5.3).
enum WebSocketMask {
  /// Masks or unmasks `bytes` in place.
  ///
  /// - Parameters:
  ///   - key: the four bytes of the frame's key as they stand in memory.
  ///   - phase: how many bytes of the frame's payload came before these.
  static func apply(_ key: UInt32, to bytes: UnsafeMutableRawBufferPointer, phase: Int) {
    // The key as it begins at the first of these bytes: memory order is little-endian here, so
    // going on by one byte is a rotation to the right.
    let shift = UInt32(phase & 3) * 8
    let rotated = UInt32(littleEndian: key)
    let turned = shift == 0 ? rotated : rotated >> shift | rotated << (32 - shift)
    let word = UInt64(turned) << 32 | UInt64(turned)
    var offset = 0
    while offset + 8 <= bytes.count {
      let masked = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self) ^ word.littleEndian
      bytes.storeBytes(of: masked, toByteOffset: offset, as: UInt64.self)
      offset += 8
    }
    var rest = turned
    while offset < bytes.count {
      bytes[offset] ^= UInt8(truncatingIfNeeded: rest)
      rest = rest >> 8 | rest << 24
      offset += 1
    }
  }
}

/// Fresh masking keys, which nobody can predict (RFC 6455 §10.3), without a system call for each.
struct WebSocketMaskKeys {
  /// Empty before the first key: most carriers are no WebSockets.
  private var pool: [UInt32] = []
  private var used = 0

  /// A key for one frame.
  mutating func next() -> UInt32 {
    if used == pool.count {
      if pool.isEmpty { pool = [UInt32](repeating: 0, count: Self.keysAtOnce) }
      pool.withUnsafeMutableBytes { Crypto.random($0) }
      used = 0
    }
    defer { used += 1 }
    return pool[used]
  }

  private static let keysAtOnce = 64
}
