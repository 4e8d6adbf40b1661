internal import QuicTransport

/// The control stream of a session.
typealias ControlChannel = MessageChannel<ControlMessage>

/// A control stream: whole messages both ways.
///
/// A few messages a tick: a window of them may come at once, and each may be a socket to open or all
/// sessions to look at.
final class MessageChannel<Message: WireMessage>: StreamDelegate {
  private let stream: StreamCore
  private var decoder = MessageDecoder<Message>()
  /// Called on the loop with each message; nil when the peer does not follow the protocol.
  private let received: (Message?) -> Void
  /// The peer has broken the protocol, and its owner knows.
  private var isBroken = false

  init(stream: StreamCore, received: @escaping (Message?) -> Void) {
    self.stream = stream
    self.received = received
    stream.delegate = self
  }

  /// The peer has received everything that was sent.
  var isAcknowledged: Bool { stream.unacknowledgedCount == 0 }

  /// Bytes that wait for the peer's acknowledgement.
  var unacknowledgedCount: Int { stream.unacknowledgedCount }

  /// Sends what the peer has caused. One that asks and does not take the answers has broken the protocol:
  /// they would be kept for as long as it goes on.
  func answer(_ message: Message) {
    guard stream.unacknowledgedCount < Self.unacknowledgedMax else { return breakOff() }
    send(message)
  }

  /// Sends what this side wants.
  func send(_ message: Message) {
    // Fails only when the connection or the stream is gone, which its owner hears by itself.
    try? stream.write(message.encoded)
  }

  func streamReadable(_ stream: StreamCore) {
    // What came before the end of the connection is heard before it.
    let isLast = stream.connection?.isOver ?? true
    for _ in 0..<(isLast ? Self.lastMessagesMax : Self.messagesPerTick) {
      // What comes behind a message for which we have closed is nobody's.
      guard !isBroken, stream.connection?.isClosing == false else { return }
      switch next(stream) {
      case .message(let message): received(message)
      case .malformed: return breakOff()
      case .needsMore:
        // The control stream lives as long as the session.
        if stream.isAtEnd { breakOff() }
        return
      }
    }
    stream.tellAgain()
  }

  private func next(_ stream: StreamCore) -> MessageDecoder<Message>.Result {
    while true {
      let result = decoder.next()
      guard case .needsMore = result, stream.readableCount > 0 else { return result }
      withUnsafeTemporaryAllocation(byteCount: Self.readMax, alignment: 1) { buffer in
        let count = stream.read(into: buffer)
        decoder.append(buffer[..<count])
      }
    }
  }

  private func breakOff() {
    guard !isBroken else { return }
    isBroken = true
    received(nil)
  }

  func streamWritable(_ stream: StreamCore) {}

  func streamReset(_ stream: StreamCore, code: UInt64) {
    breakOff()
  }

  func streamStopped(_ stream: StreamCore, code: UInt64) {
    breakOff()
  }

  func streamClosed(_ stream: StreamCore, error: QuicError?) {}

  private static var readMax: Int { 4_096 }
  private static var messagesPerTick: Int { 32 }
  /// Honest peers have a handful under way.
  private static var lastMessagesMax: Int { 1_024 }
  /// More than a relay has to say at once to a node whose 256 introductions all have news.
  private static var unacknowledgedMax: Int { 256 * 1024 }
}
