internal import QuicTransport

/// The control stream of a session.
typealias ControlChannel = MessageChannel<ControlMessage>

/// A control stream: whole messages both ways.
final class MessageChannel<Message: WireMessage>: StreamDelegate {
  private let stream: StreamCore
  private var decoder = MessageDecoder<Message>()
  /// Called on the loop with each message; nil when the peer does not follow the protocol.
  private let received: (Message?) -> Void

  init(stream: StreamCore, received: @escaping (Message?) -> Void) {
    self.stream = stream
    self.received = received
    stream.delegate = self
  }

  /// The peer has received everything that was sent.
  var isAcknowledged: Bool { stream.unacknowledgedCount == 0 }

  /// Bytes that wait for the peer's acknowledgement.
  var unacknowledgedCount: Int { stream.unacknowledgedCount }

  func send(_ message: Message) {
    // Fails only when the connection or the stream is gone, which its owner hears by itself.
    try? stream.write(message.encoded)
  }

  func streamReadable(_ stream: StreamCore) {
    withUnsafeTemporaryAllocation(byteCount: Self.readMax, alignment: 1) { buffer in
      while stream.readableCount > 0 {
        let count = stream.read(into: buffer)
        decoder.append(buffer[..<count])
        guard decodeAll() else { return }
      }
    }
    // The control stream lives as long as the session.
    if stream.isAtEnd { received(nil) }
  }

  private func decodeAll() -> Bool {
    while true {
      switch decoder.next() {
      case .message(let message): received(message)
      case .needsMore: return true
      case .malformed:
        received(nil)
        return false
      }
    }
  }

  func streamWritable(_ stream: StreamCore) {}

  func streamReset(_ stream: StreamCore, code: UInt64) {
    received(nil)
  }

  func streamStopped(_ stream: StreamCore, code: UInt64) {
    received(nil)
  }

  func streamClosed(_ stream: StreamCore, error: QuicError?) {}

  private static var readMax: Int { 4_096 }
}
