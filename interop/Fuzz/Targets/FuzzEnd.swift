@testable import QuicTransport

/// The application at one end of a connection.
final class FuzzEnd: ConnectionDelegate {
  private(set) var connection: ConnectionCore?
  private(set) var isReady = false
  private(set) var error: QuicError?
  /// Streams, whoever opened them.
  private(set) var streams: [FuzzStream] = []
  /// False where the other end does not send what `FuzzStream` writes.
  var checksBytes = true

  func watch(_ connection: ConnectionCore) {
    self.connection = connection
    connection.delegate = self
  }

  func openStream(unidirectional: Bool) {
    guard let stream = try? connection?.openStream(unidirectional: unidirectional) else { return }
    streams.append(FuzzStream(stream, checksBytes: checksBytes))
  }

  func connectionReady(_ connection: ConnectionCore) { isReady = true }

  func connection(_ connection: ConnectionCore, opened stream: StreamCore) {
    streams.append(FuzzStream(stream, checksBytes: checksBytes))
  }

  func connectionAllowsStreams(_ connection: ConnectionCore) {}

  func connection(_ connection: ConnectionCore, received datagram: UnsafeRawBufferPointer) {
    require(!datagram.isEmpty, "an empty datagram was delivered")
  }

  func connection(_ connection: ConnectionCore, closed error: QuicError) { self.error = error }
}

/// One side of a stream: sends bytes that the other side can tell, and checks what arrives.
final class FuzzStream: StreamDelegate {
  let stream: StreamCore
  private(set) var sent = 0
  private(set) var received = 0
  private(set) var isFinished = false
  /// Somebody gave this stream up: not all of it need arrive.
  private(set) var isAbandoned = false
  private(set) var sawEnd = false
  var reads = true
  private let checksBytes: Bool

  init(_ stream: StreamCore, checksBytes: Bool) {
    self.stream = stream
    self.checksBytes = checksBytes
    stream.delegate = self
  }

  func write(_ count: Int) {
    guard !isFinished, !isAbandoned else { return }
    let count = min(count, stream.sendCapacity)
    let bytes = (0..<count).map { Self.byte(at: sent + $0, of: stream.id) }
    if (try? stream.write(bytes)) != nil { sent += count }
  }

  func finish() {
    // The peer's unidirectional stream has no end of ours.
    guard !stream.sendClosed else { return }
    isFinished = true
    stream.finish()
  }

  func reset() {
    isAbandoned = true
    stream.reset(code: 7)
  }

  func stopReceiving() {
    isAbandoned = true
    stream.stopReceiving(code: 8)
  }

  func read(_ count: Int) {
    var bytes = [UInt8](repeating: 0, count: count)
    let taken = bytes.withUnsafeMutableBytes { stream.read(into: $0) }
    for (index, byte) in bytes.prefix(taken).enumerated() where checksBytes {
      require(byte == Self.byte(at: received + index, of: stream.id), "a wrong byte arrived")
    }
    received += taken
    if stream.isAtEnd { sawEnd = true }
  }

  func streamReadable(_ stream: StreamCore) {
    guard reads else { return }
    repeat { read(4_096) } while stream.readableCount > 0
  }

  func streamWritable(_ stream: StreamCore) {}
  func streamReset(_ stream: StreamCore, code: UInt64) { isAbandoned = true }
  func streamStopped(_ stream: StreamCore, code: UInt64) { isAbandoned = true }
  func streamClosed(_ stream: StreamCore, error: QuicError?) {
    if error != nil { isAbandoned = true }
  }

  /// The two directions of a stream carry the same bytes.
  private static func byte(at offset: Int, of id: StreamID) -> UInt8 {
    UInt8(truncatingIfNeeded: offset &* 131 &+ (offset >> 8) &* 7 &+ Int(id.number))
  }
}
