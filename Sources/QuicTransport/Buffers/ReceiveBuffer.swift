/// The bytes of a stream that arrived in order and were not consumed yet.
///
/// Bounded by the flow-control window that the stream granted.
struct ReceiveBuffer: ~Copyable {
  private let pool: ChunkPool
  private var chunks: [Chunk] = []
  private(set) var count = 0

  init(pool: ChunkPool) {
    self.pool = pool
  }

  deinit {
    for chunk in chunks { pool.give(chunk) }
  }

  /// Copies `bytes` in: the one copy between the decrypted packet and the consumer.
  mutating func append(_ bytes: UnsafeRawBufferPointer) {
    var rest = bytes
    while !rest.isEmpty {
      if chunks.last.map({ $0.room == 0 }) ?? true {
        // A stream that has more than a little buffered is a bulk stream.
        let size = min(ChunkPool.largeSize, max(rest.count, 2 * count))
        chunks.append(pool.take(atLeast: size))
      }
      let last = chunks.count - 1
      let copied = min(rest.count, chunks[last].room)
      // SAFETY: `copied` bytes fit behind `end`; source and chunk never overlap.
      (chunks[last].base + chunks[last].end).copyMemory(
        from: rest.baseAddress.unsafelyUnwrapped, byteCount: copied)
      chunks[last].end += copied
      count += copied
      rest = UnsafeRawBufferPointer(rebasing: rest[copied...])
    }
  }

  /// Hands the pieces at the front to `body`, at most `limit` of them.
  func withPieces<Result>(
    limit: Int, _ body: (UnsafeBufferPointer<UnsafeRawBufferPointer>) -> Result
  ) -> Result {
    let pieces = min(limit, chunks.count)
    return withUnsafeTemporaryAllocation(
      of: UnsafeRawBufferPointer.self, capacity: max(pieces, 1)
    ) { list in
      for index in 0..<pieces {
        let chunk = chunks[index]
        list[index] = UnsafeRawBufferPointer(start: chunk.base + chunk.start, count: chunk.count)
      }
      return body(UnsafeBufferPointer(rebasing: list[..<pieces]))
    }
  }

  /// Drops `amount` bytes from the front.
  mutating func consume(_ amount: Int) {
    precondition(amount <= count)
    count -= amount
    var rest = amount
    var emptied = 0
    while rest > 0 {
      let taken = min(rest, chunks[emptied].count)
      chunks[emptied].start += taken
      rest -= taken
      if chunks[emptied].count == 0 { emptied += 1 }
    }
    for chunk in chunks[..<emptied] { pool.give(chunk) }
    chunks.removeFirst(emptied)
  }

  /// Drops everything; returns how much that was.
  mutating func removeAll() -> Int {
    let dropped = count
    consume(count)
    return dropped
  }
}
