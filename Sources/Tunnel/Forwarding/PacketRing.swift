internal import QuicTransport

/// Datagrams that wait for their turn, oldest first, in a fixed number of bytes.
final class PacketRing {
  private let memory: UnsafeMutableRawBufferPointer
  private var head = 0
  private(set) var usedCount = 0

  /// What is kept with each datagram.
  struct Entry {
    var count: UInt32
    /// Of the leg that it is for.
    var leg: UInt8
    var ecn: ECN
  }

  init(capacity: Int) {
    memory = .allocate(byteCount: capacity, alignment: 16)
  }

  deinit { memory.deallocate() }

  var isEmpty: Bool { usedCount == 0 }

  /// Adds a copy; false when there is no room.
  func append(_ payload: UnsafeRawBufferPointer, leg: Int, ecn: ECN) -> Bool {
    let needed = Self.prefixCount + payload.count
    guard needed <= memory.count - usedCount else { return false }
    var entry = Entry(count: UInt32(payload.count), leg: UInt8(leg), ecn: ecn)
    withUnsafeBytes(of: &entry) { write($0.prefix(Self.prefixCount), at: usedCount) }
    write(payload[...], at: usedCount + Self.prefixCount)
    usedCount += needed
    return true
  }

  /// What the oldest datagram is.
  var first: Entry? {
    guard usedCount > 0 else { return nil }
    var entry = Entry(count: 0, leg: 0, ecn: .notCapable)
    withUnsafeMutableBytes(of: &entry) { read(into: $0.prefix(Self.prefixCount), at: 0) }
    return entry
  }

  /// Takes the oldest datagram out into `buffer`, which has room for it.
  func removeFirst(into buffer: UnsafeMutableRawBufferPointer) -> UnsafeRawBufferPointer {
    let count = Int(first?.count ?? 0)
    read(into: buffer.prefix(count), at: Self.prefixCount)
    head = (head + Self.prefixCount + count) % memory.count
    usedCount -= Self.prefixCount + count
    return UnsafeRawBufferPointer(rebasing: buffer[..<count])
  }

  private func write(_ bytes: Slice<UnsafeRawBufferPointer>, at offset: Int) {
    let start = (head + offset) % memory.count
    let first = bytes.prefix(memory.count - start)
    memory[start...].copyBytes(from: first)
    memory.copyBytes(from: bytes.dropFirst(first.count))
  }

  private func read(into target: Slice<UnsafeMutableRawBufferPointer>, at offset: Int) {
    let start = (head + offset) % memory.count
    let firstCount = min(target.count, memory.count - start)
    let buffer = UnsafeMutableRawBufferPointer(rebasing: target)
    buffer.copyBytes(from: memory[start..<start + firstCount])
    UnsafeMutableRawBufferPointer(rebasing: buffer[firstCount...])
      .copyBytes(from: memory[..<(target.count - firstCount)])
  }

  private static let prefixCount = MemoryLayout<Entry>.size
}
