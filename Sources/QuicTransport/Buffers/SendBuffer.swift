internal import CNgtcp2

/// The bytes of a stream from the moment they are written until the peer acknowledged them.
///
/// ngtcp2 does not copy stream data: packets in flight point into these chunks, so they stay where
/// they are until `acknowledge` releases them in order.
///
///     |-- released --|-- in flight --|-- unsent --|
///     0        acknowledgedOffset  sentOffset   endOffset
struct SendBuffer: ~Copyable {
  private let pool: ChunkPool
  private var chunks: [Chunk] = []
  /// Chunks before this index are released but not removed yet (amortised).
  private var head = 0
  /// Where the first unsent byte is: a chunk and the offset into its memory.
  private var cursor = 0
  private var cursorOffset = 0
  private(set) var acknowledgedOffset: UInt64 = 0
  private(set) var sentOffset: UInt64 = 0
  private(set) var endOffset: UInt64 = 0

  init(pool: ChunkPool) {
    self.pool = pool
  }

  deinit {
    for chunk in chunks[head...] { pool.give(chunk) }
  }

  var unsentCount: Int { Int(endOffset - sentOffset) }
  var heldCount: Int { Int(endOffset - acknowledgedOffset) }

  /// Copies `bytes` to the end.
  mutating func append(_ bytes: UnsafeRawBufferPointer) {
    var rest = bytes
    while !rest.isEmpty {
      if chunks.count == head || chunks[chunks.count - 1].room == 0 {
        let size = min(ChunkPool.largeSize, max(rest.count, 2 * unsentCount))
        chunks.append(pool.take(atLeast: size))
      }
      let last = chunks.count - 1
      let copied = min(rest.count, chunks[last].room)
      // SAFETY: `copied` bytes fit behind `end`, which no packet in flight covers.
      (chunks[last].base + chunks[last].end).copyMemory(
        from: rest.baseAddress.unsafelyUnwrapped, byteCount: copied)
      chunks[last].end += copied
      endOffset += UInt64(copied)
      rest = UnsafeRawBufferPointer(rebasing: rest[copied...])
    }
  }

  /// Lets `fill` write into a large chunk and keeps what it wrote: the bytes of a bulk read are not
  /// copied, those of a small one move to a chunk of their size.
  ///
  /// - Parameter limit: how many bytes `fill` may write.
  mutating func append<Result>(
    limit: Int = .max, reading fill: (UnsafeMutableRawBufferPointer) -> (count: Int, result: Result)
  ) -> Result {
    var chunk = pool.take(atLeast: ChunkPool.largeSize)
    let (count, result) = fill(
      UnsafeMutableRawBufferPointer(start: chunk.base, count: min(limit, chunk.capacity)))
    precondition(count <= chunk.capacity)
    if count >= ChunkPool.largeSize / 4 {
      chunk.end = count
      chunks.append(chunk)
      endOffset += UInt64(count)
    } else {
      append(UnsafeRawBufferPointer(start: chunk.base, count: count))
      pool.give(chunk)
    }
    return result
  }

  /// Describes the unsent bytes at the front for ngtcp2, at most `vectors.count` pieces and
  /// roughly `limit` bytes. Returns the number of pieces.
  mutating func describeUnsent(_ vectors: UnsafeMutableBufferPointer<ngtcp2_vec>, limit: Int)
    -> Int
  {
    settleCursor()
    var pieces = 0
    var total = 0
    var index = cursor
    var offset = cursorOffset
    while index < chunks.count, pieces < vectors.count, total < limit {
      let chunk = chunks[index]
      let length = chunk.end - offset
      if length > 0 {
        let base = (chunk.base + offset).assumingMemoryBound(to: UInt8.self)
        vectors[pieces] = ngtcp2_vec(base: base, len: length)
        pieces += 1
        total += length
      }
      index += 1
      offset = index < chunks.count ? chunks[index].start : 0
    }
    return pieces
  }

  /// Notes that ngtcp2 took `count` bytes from the front of the unsent ones.
  mutating func markSent(_ count: Int) {
    precondition(count <= unsentCount)
    sentOffset += UInt64(count)
    var rest = count
    settleCursor()
    while rest > 0 {
      let step = min(rest, chunks[cursor].end - cursorOffset)
      cursorOffset += step
      rest -= step
      settleCursor()
    }
  }

  /// Releases everything before `offset`, which the peer has.
  mutating func acknowledge(upTo offset: UInt64) {
    precondition(offset <= sentOffset)
    guard offset > acknowledgedOffset else { return }
    var rest = Int(offset - acknowledgedOffset)
    acknowledgedOffset = offset
    while rest > 0 {
      let step = min(rest, chunks[head].count)
      chunks[head].start += step
      rest -= step
      if chunks[head].count == 0 { releaseHead() }
    }
    compact()
  }

  /// Drops everything; only after ngtcp2 gave the stream up.
  mutating func removeAll() {
    for chunk in chunks[head...] { pool.give(chunk) }
    chunks.removeAll()
    head = 0
    cursor = 0
    cursorOffset = 0
    acknowledgedOffset = endOffset
    sentOffset = endOffset
  }

  private mutating func releaseHead() {
    pool.give(chunks[head])
    head += 1
    if cursor < head {
      cursor = head
      cursorOffset = head < chunks.count ? chunks[head].start : 0
    }
  }

  private mutating func compact() {
    guard head > 16 || head == chunks.count else { return }
    chunks.removeFirst(head)
    cursor -= head
    head = 0
  }

  /// Moves the cursor from the end of a full chunk to the start of the next.
  private mutating func settleCursor() {
    while cursor < chunks.count, cursorOffset >= chunks[cursor].end, cursor + 1 < chunks.count {
      cursor += 1
      cursorOffset = chunks[cursor].start
    }
  }
}
