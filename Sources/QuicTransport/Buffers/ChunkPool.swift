/// The memory that stream bytes live in while they are inside the process.
///
/// Large chunks are recycled; small ones come from the allocator, so that ten thousand idle or
/// chatty flows do not hold a large chunk each. One pool belongs to one loop.
public final class ChunkPool {
  /// Bytes of a large chunk: what one read from a socket asks for.
  public static let largeSize = 65_536
  private static let smallSizeMin = 256
  /// 2 MiB are kept for the next burst, the rest goes back to the allocator.
  private static let idleMax = 32

  private var idle: [UnsafeMutableRawPointer] = []

  public init() {}

  deinit {
    for base in idle { base.deallocate() }
  }

  /// A chunk of at least `size` bytes, `largeSize` at most.
  func take(atLeast size: Int) -> Chunk {
    precondition(size <= Self.largeSize)
    guard size > Self.largeSize / 2 else {
      let capacity = max(Self.smallSizeMin, Int(UInt(size).roundedUpToPowerOfTwo))
      return Chunk(base: .allocate(byteCount: capacity, alignment: 16), capacity: capacity)
    }
    let base = idle.popLast() ?? .allocate(byteCount: Self.largeSize, alignment: 64)
    return Chunk(base: base, capacity: Self.largeSize)
  }

  func give(_ chunk: Chunk) {
    if chunk.capacity == Self.largeSize, idle.count < Self.idleMax {
      idle.append(chunk.base)
    } else {
      chunk.base.deallocate()
    }
  }
}

/// A piece of memory with its filled range. Trivial on purpose: whoever holds it gives it back.
struct Chunk {
  let base: UnsafeMutableRawPointer
  let capacity: Int
  /// First byte that is still needed.
  var start = 0
  /// One past the last filled byte.
  var end = 0

  init(base: UnsafeMutableRawPointer, capacity: Int) {
    self.base = base
    self.capacity = capacity
  }

  var count: Int { end - start }
  var room: Int { capacity - end }
}

extension UInt {
  fileprivate var roundedUpToPowerOfTwo: UInt {
    self <= 1 ? 1 : 1 << (UInt.bitWidth - (self - 1).leadingZeroBitCount)
  }
}
