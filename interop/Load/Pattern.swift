import Glibc

/// The byte sequence that every connection carries: one pseudo-random block, repeated.
///
/// The block's length is odd and coprime to the sizes that buffers have, so a lost, doubled or
/// swapped buffer never lands on equal bytes. Connections and directions start at different places
/// in it, so bytes of one flow are wrong on another. Because the block is computed once, making
/// bytes costs nothing and checking them costs one `memcmp`.
final class Pattern: Sendable {
  /// 1 MiB + 61: coprime to powers of two and of ten.
  static let periodBytes = (1 << 20) + 61
  /// The longest run that can be read from `PatternCursor.pointer`, and the size of all buffers.
  static let chunkBytesMax = 256 << 10

  // SAFETY: written only in init, before any other thread can see the object; freed in deinit.
  nonisolated(unsafe) private let block: UnsafeMutableRawPointer

  init() {
    // The first chunk is repeated behind the end so that a run may cross it.
    let length = Self.periodBytes + Self.chunkBytesMax
    block = .allocate(byteCount: length, alignment: 64)
    for index in 0..<Self.periodBytes {
      block.storeBytes(
        of: UInt8(truncatingIfNeeded: Self.mix(UInt64(index)) >> 32), toByteOffset: index,
        as: UInt8.self)
    }
    memcpy(block + Self.periodBytes, block, Self.chunkBytesMax)
  }

  deinit { block.deallocate() }

  /// The sequence of one direction of the connection with this key, from its first byte.
  func cursor(key: UInt64, direction: Direction) -> PatternCursor {
    let start = Self.mix(key &* 2 &+ (direction == .up ? 1 : 0)) % UInt64(Self.periodBytes)
    return PatternCursor(pattern: self, start: Int(start))
  }

  /// The address of the byte at this offset of the block; `chunkBytesMax` bytes follow it.
  fileprivate func address(at offset: Int) -> UnsafeRawPointer {
    UnsafeRawPointer(block) + offset
  }

  /// The finaliser of SplitMix64: spreads neighbouring inputs over all outputs.
  private static func mix(_ input: UInt64) -> UInt64 {
    var value = input &+ 0x9E37_79B9_7F4A_7C15
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
  }

  /// Which way bytes travel, seen from the client.
  enum Direction { case up, down }
}

/// A place in the endless sequence of one direction of one connection.
struct PatternCursor {
  /// How many bytes were sent or checked so far.
  private(set) var position = 0
  private let pattern: Pattern
  private var offset: Int

  fileprivate init(pattern: Pattern, start: Int) {
    self.pattern = pattern
    self.offset = start
  }

  /// The next bytes, at least `Pattern.chunkBytesMax` of them; valid while the pattern lives.
  var pointer: UnsafeRawPointer { pattern.address(at: offset) }

  /// Moves past bytes that were sent.
  mutating func advance(by count: Int) {
    position += count
    offset = (offset + count) % Pattern.periodBytes
  }

  /// Compares received bytes with the next ones of the sequence and moves past them.
  mutating func check(_ received: UnsafeRawPointer, count: Int) throws(LoadError) {
    precondition(count <= Pattern.chunkBytesMax)
    if memcmp(received, pointer, count) != 0 {
      var index = 0
      while received.load(fromByteOffset: index, as: UInt8.self)
        == pointer.load(fromByteOffset: index, as: UInt8.self)
      {
        index += 1
      }
      throw .wrongByte(position: position + index)
    }
    advance(by: count)
  }
}
