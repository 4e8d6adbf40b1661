/// Bytes in, bytes out, in order; its memory is reused once it has run empty.
public struct ByteQueue {
  private var bytes: [UInt8] = []
  private var head = 0

  /// An empty one.
  public init() {}

  /// Bytes in it.
  public var count: Int { bytes.count - head }

  /// Whether something has been in it, so that it has memory to be used again.
  public var hasMemory: Bool { bytes.capacity > 0 }

  /// Adds a copy of them at the end.
  public mutating func append(_ more: UnsafeRawBufferPointer) {
    bytes.append(contentsOf: more)
  }

  /// Lends what is there.
  public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[head...])) }
  }

  /// Drops `amount` bytes from the front.
  public mutating func removeFirst(_ amount: Int) {
    precondition(amount <= count)
    head += amount
    if head == bytes.count {
      bytes.removeAll(keepingCapacity: bytes.capacity <= Self.capacityKept)
      head = 0
    } else if head >= Self.capacityKept {
      bytes.removeFirst(head)
      head = 0
    }
  }

  private static let capacityKept = 256 * 1024
}
