import Glibc
import QuicTransport

/// The application at one end of a stream: sends a pattern, checks the peer's, and writes down what
/// happened.
final class StreamProbe: StreamDelegate {
  let stream: StreamCore
  /// Bytes received and found right.
  private(set) var received = 0
  /// The first offset at which a wrong byte arrived.
  private(set) var wrongAt: Int?
  private(set) var sent = 0
  private(set) var sawEnd = false
  private(set) var resetCode: UInt64?
  private(set) var stopCode: UInt64?
  private(set) var isClosed = false
  private(set) var closeError: QuicError?
  /// Called when the stream is over.
  var onClosed: ((StreamProbe) -> Void)?
  /// While false, what arrives stays in the stream.
  var reads = true {
    didSet { if reads { streamReadable(stream) } }
  }
  /// What was received, kept while `keeps` is on.
  private(set) var bytes: [UInt8] = []
  var keeps = false
  /// Finishes this side when the peer's side ended.
  var finishesAtEnd = false

  private var expected: Pattern?
  private var outgoing: Pattern?
  private var toSend = 0
  private var finishesWhenSent = false

  init(_ stream: StreamCore) {
    self.stream = stream
    stream.delegate = self
  }

  /// Sends `count` bytes of a pattern as fast as the stream takes them.
  func send(_ count: Int, of pattern: Pattern, finishing: Bool) {
    outgoing = pattern
    toSend += count
    finishesWhenSent = finishing
    streamWritable(stream)
  }

  /// Checks what arrives against `pattern`, from its start.
  func expect(_ pattern: Pattern) {
    expected = pattern
  }

  // MARK: StreamDelegate

  func streamReadable(_ stream: StreamCore) {
    guard reads else { return }
    while stream.readableCount > 0 {
      let count = stream.withReadablePieces(limit: 1) { pieces in
        guard let piece = pieces.first else { return 0 }
        let bytes = piece
        if wrongAt == nil, expected?.matches(bytes, at: received) == false { wrongAt = received }
        if keeps { self.bytes.append(contentsOf: bytes) }
        return bytes.count
      }
      received += count
      stream.consume(count)
    }
    if stream.isAtEnd, !sawEnd {
      sawEnd = true
      if finishesAtEnd { stream.finish() }
    }
  }

  func streamWritable(_ stream: StreamCore) {
    guard let outgoing else { return }
    while toSend > 0 {
      let capacity = stream.sendCapacity
      guard capacity > 0 else { return }
      let wanted = min(capacity, toSend)
      let offset = sent
      let result: Result<Int, StreamError> = Result { () throws(StreamError) -> Int in
        try stream.write { memory in
          let count = min(wanted, memory.count)
          outgoing.fill(UnsafeMutableRawBufferPointer(rebasing: memory[..<count]), at: offset)
          return (count, count)
        }
      }
      guard case .success(let written) = result else { return }
      sent += written
      toSend -= written
    }
    if finishesWhenSent { stream.finish() }
  }

  func streamReset(_ stream: StreamCore, code: UInt64) { resetCode = code }

  func streamStopped(_ stream: StreamCore, code: UInt64) { stopCode = code }

  func streamClosed(_ stream: StreamCore, error: QuicError?) {
    isClosed = true
    closeError = error
    onClosed?(self)
  }
}
