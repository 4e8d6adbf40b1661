/// A QUIC stream for async code: reliable bytes in one or both directions (RFC 9000 §2).
///
/// Reads and writes suspend, they never block a thread. A read grants the peer as much credit as it
/// returned bytes; a write returns once the stream holds less than its limit of unsent bytes. So a
/// slow reader slows its peer, and nothing else.
///
/// Hold it for as long as it is in use: letting go of it abandons what was not finished.
public actor QuicStream {
  /// The stream's number on its connection.
  public nonisolated let id: StreamID

  private nonisolated let loop: any EventLoop
  private let core: StreamCore
  private let observer = StreamObserver()

  /// The loop: everything of the stream happens there.
  public nonisolated var unownedExecutor: UnownedSerialExecutor {
    loop.asUnownedSerialExecutor()
  }

  /// Called on the loop.
  init(core: StreamCore, loop: any EventLoop) {
    // SAFETY: the core is used on `loop` only, which is this actor's executor and the one that
    // calls this initialiser.
    nonisolated(unsafe) let core = core
    id = core.id
    self.loop = loop
    self.core = core
    core.delegate = observer
  }

  /// On the loop, to whose memory the bytes belong. A direction that was neither finished nor read
  /// to its end is abandoned with code 0: otherwise a stream that nobody can reach any more would
  /// hold its place and its bytes for as long as the connection lives.
  isolated deinit {
    if !core.isFinishing { core.reset(code: 0) }
    if !core.isAtEnd { core.stopReceiving(code: 0) }
  }

  // MARK: Reading

  /// Reads what has arrived, or waits for it.
  ///
  /// - Parameter limit: the most bytes to return, above zero.
  /// - Returns: at least one byte, or nothing once the peer has finished.
  /// - Throws: `.reset` when the peer abandoned its side, `.alreadyClosed` after `stopReading`,
  ///   `.connectionLost`, `.cancelled`.
  public func read(upTo limit: Int) async throws(StreamError) -> [UInt8] {
    precondition(limit > 0)
    while true {
      if core.readableCount > 0 { return take(limit) }
      if core.isAtEnd { return [] }
      if let code = observer.resetCode { throw .reset(code: code) }
      if core.receiveClosed { throw .alreadyClosed }
      if let error = observer.error { throw .connectionLost(error) }
      if Task.isCancelled { throw .cancelled }
      await observer.readable.wait()
    }
  }

  /// Reads to the end of the stream.
  ///
  /// - Parameter limit: more than this many bytes are an error, not a large array.
  /// - Throws: as `read(upTo:)`, and `.tooLong`.
  public func readToEnd(limit: Int) async throws(StreamError) -> [UInt8] {
    var bytes: [UInt8] = []
    while true {
      let part = try await read(upTo: Self.readSize)
      if part.isEmpty { return bytes }
      guard bytes.count + part.count <= limit else { throw .tooLong }
      bytes += part
    }
  }

  /// Asks the peer to send no more; what it sent is dropped (RFC 9000 §3.5).
  public func stopReading(code: UInt64) {
    core.stopReceiving(code: code)
    observer.readable.wakeAll()
  }

  private func take(_ limit: Int) -> [UInt8] {
    let count = min(limit, core.readableCount)
    return [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      initialized = core.read(into: UnsafeMutableRawBufferPointer(buffer))
    }
  }

  // MARK: Writing

  /// Queues `bytes`, in pieces as the stream takes them.
  ///
  /// - Throws: `.stopped` when the peer reads no more, `.alreadyClosed`, `.connectionLost`,
  ///   `.cancelled`; some of the bytes may have left then.
  public func write(_ bytes: [UInt8]) async throws(StreamError) {
    var offset = 0
    while offset < bytes.count {
      if let error = observer.error { throw .connectionLost(error) }
      let capacity = core.sendCapacity
      if capacity > 0 {
        let end = min(bytes.count, offset + capacity)
        try write(bytes, offset..<end)
        offset = end
        continue
      }
      // At zero because it is full, or because it takes no more at all, which this tells.
      try write(bytes, offset..<offset)
      if Task.isCancelled { throw .cancelled }
      await observer.writable.wait()
    }
  }

  /// Ends this side after what was written; the peer reads to the end.
  public func finish() {
    core.finish()
  }

  /// Abandons this side (RFC 9000 §3.1).
  public func reset(code: UInt64) {
    core.reset(code: code)
    observer.writable.wakeAll()
  }

  private func write(_ bytes: [UInt8], _ range: Range<Int>) throws(StreamError) {
    // The closure cannot throw a typed error through withUnsafeBytes of every toolchain we build
    // with, hence the detour.
    var failure: StreamError?
    bytes.withUnsafeBytes { buffer in
      do throws(StreamError) {
        try core.write(UnsafeRawBufferPointer(rebasing: buffer[range]))
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
  }

  private static let readSize = 64 * 1024
}

/// Keeps what happened to a stream for those who wait.
private final class StreamObserver: StreamDelegate {
  let readable = WaitList()
  let writable = WaitList()
  private(set) var resetCode: UInt64?
  private(set) var error: QuicError?

  func streamReadable(_ stream: StreamCore) {
    readable.wakeAll()
  }

  func streamWritable(_ stream: StreamCore) {
    writable.wakeAll()
  }

  func streamReset(_ stream: StreamCore, code: UInt64) {
    resetCode = code
    readable.wakeAll()
  }

  func streamStopped(_ stream: StreamCore, code: UInt64) {
    writable.wakeAll()
  }

  func streamClosed(_ stream: StreamCore, error: QuicError?) {
    self.error = error
    readable.wakeAll()
    writable.wakeAll()
  }
}
