internal import CNgtcp2

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
  /// Bytes that streams hold, and that went back to the allocator since `trim`.
  private(set) var bytesInUse = 0
  private(set) var bytesReleased = 0

  /// An empty pool.
  public init() {}

  deinit {
    for base in idle { base.deallocate() }
  }

  /// A chunk of at least `size` bytes, `largeSize` at most.
  func take(atLeast size: Int) -> Chunk {
    let chunk = make(atLeast: size)
    bytesInUse += chunk.capacity
    return chunk
  }

  private func make(atLeast size: Int) -> Chunk {
    precondition(size <= Self.largeSize)
    guard size > Self.largeSize / 2 else {
      let capacity = max(Self.smallSizeMin, Int(UInt(size).roundedUpToPowerOfTwo))
      return Chunk(base: .allocate(byteCount: capacity, alignment: 16), capacity: capacity)
    }
    let base = idle.popLast() ?? .allocate(byteCount: Self.largeSize, alignment: 64)
    return Chunk(base: base, capacity: Self.largeSize)
  }

  func give(_ chunk: Chunk) {
    bytesInUse -= chunk.capacity
    if chunk.capacity == Self.largeSize, idle.count < Self.idleMax {
      idle.append(chunk.base)
    } else {
      bytesReleased += chunk.capacity
      chunk.base.deallocate()
    }
  }

  /// Gives what is idle back to the system: the allocator alone keeps it for ever after a burst.
  func trim() {
    for base in idle { base.deallocate() }
    idle.removeAll()
    bytesReleased = 0
    qtun_trim_memory()
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
