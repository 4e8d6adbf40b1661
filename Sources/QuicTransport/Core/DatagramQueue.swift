/// Contents of DATAGRAM frames (RFC 9221), first in, first out, in one piece of memory that is used
/// over and over: nothing is allocated per datagram.
///
/// It is bounded by bytes and drops its oldest when it is full: what is late is of least use to those
/// who chose datagrams.
struct DatagramQueue {
  /// How many were dropped for want of room or because they waited for too long.
  private(set) var droppedCount: UInt64 = 0

  private let bytesMax: Int
  /// Contents one behind the other; those before the first span's offset are done with.
  private var bytes: [UInt8] = []
  private var spans: [Span] = []
  private var head = 0

  private struct Span {
    let offset: Int
    let count: Int
    let queued: Instant
  }

  /// - Parameter bytesMax: what may wait, each datagram with `overhead` on top.
  init(bytesMax: Int) {
    self.bytesMax = bytesMax
  }

  var isEmpty: Bool { head == spans.count }
  var count: Int { spans.count - head }

  /// What waits counts for, in bytes.
  var cost: Int {
    isEmpty ? 0 : bytes.count - spans[head].offset + count * Self.overhead
  }

  /// Bytes of the first; 0 when there is none.
  var firstCount: Int { isEmpty ? 0 : spans[head].count }

  /// Adds the two pieces as one datagram, and drops the oldest until it fits.
  mutating func append(
    _ header: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer, now: Instant
  ) {
    let size = header.count + payload.count
    while !isEmpty, cost + size + Self.overhead > bytesMax { dropFirst() }
    compact()
    spans.append(Span(offset: bytes.count, count: size, queued: now))
    bytes.append(contentsOf: header)
    bytes.append(contentsOf: payload)
  }

  /// Drops what has waited for longer than `age`, as long as more than `kept` bytes wait.
  mutating func dropOlder(than age: Duration, now: Instant, keeping kept: Int) {
    while !isEmpty, now - spans[head].queued > age, cost > kept { dropFirst() }
  }

  /// Lends the first. The queue must not be changed meanwhile.
  func withFirst<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    let span = spans[head]
    return bytes.withUnsafeBytes { bytes in
      body(UnsafeRawBufferPointer(rebasing: bytes[span.offset..<span.offset + span.count]))
    }
  }

  mutating func removeFirst() {
    head += 1
    if isEmpty { removeAll() }
  }

  /// Takes one out that cannot be sent.
  mutating func dropFirst() {
    droppedCount += 1
    removeFirst()
  }

  /// Empties it; the memory stays for the next ones, unless a burst made it large.
  mutating func removeAll() {
    let keeps = bytes.capacity <= Self.keptMax
    bytes.removeAll(keepingCapacity: keeps)
    spans.removeAll(keepingCapacity: keeps)
    head = 0
  }

  /// A queue that is never empty must not keep the places of all that ever passed: once half of the
  /// memory is done with, the rest moves to its front. Each byte moves at most once on average.
  private mutating func compact() {
    guard head > 0 else { return }
    let start = spans[head].offset
    guard start + head * Self.overhead >= max(cost, Self.compactedMin) else { return }
    bytes.removeFirst(start)
    spans.removeFirst(head)
    for index in spans.indices {
      let span = spans[index]
      spans[index] = Span(offset: span.offset - start, count: span.count, queued: span.queued)
    }
    head = 0
  }

  /// About what a datagram takes beside its bytes.
  static let overhead = 32
  private static let compactedMin = 16 * 1024
  private static let keptMax = 64 * 1024
}
