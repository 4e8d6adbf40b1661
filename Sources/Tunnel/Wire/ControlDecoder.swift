/// What stands on a control stream: a type and a body.
///
///     message: type (varint), length (varint), body (length bytes)
protocol WireMessage: Equatable {
  /// The longest body of any message.
  static var bodyMax: Int { get }
  /// Writes the body, and says of which type the message is.
  func write(to body: inout WireWriter) -> UInt64
  /// Decodes the body of one message; nil if it is malformed.
  init?(type: UInt64, body: [UInt8])
}

extension WireMessage {
  /// The whole message.
  var encoded: [UInt8] {
    var body = WireWriter()
    let type = write(to: &body)
    var message = WireWriter()
    message.varint(type)
    message.prefixed(body.bytes)
    return message.bytes
  }
}

/// Cuts a byte stream into the messages of a session.
typealias ControlDecoder = MessageDecoder<ControlMessage>

/// Cuts a byte stream into messages, whatever the pieces it arrives in.
struct MessageDecoder<Message: WireMessage> {
  private var buffer: [UInt8] = []
  /// Bytes of it that were taken.
  private var taken = 0

  /// What the next bytes amount to.
  enum Result: Equatable {
    case message(Message)
    case needsMore
    /// The peer does not follow the protocol.
    case malformed
  }

  mutating func append(_ bytes: some Sequence<UInt8>) {
    buffer.removeFirst(taken)
    taken = 0
    buffer.append(contentsOf: bytes)
  }

  /// The next whole message. Call it until it needs more, before more is appended; the buffer then holds
  /// less than one message of the largest size.
  mutating func next() -> Result {
    var reader = WireReader(buffer[taken...])
    guard let type = reader.varint(), let length = reader.varint() else {
      return .needsMore
    }
    guard length <= UInt64(Message.bodyMax) else { return .malformed }
    guard let body = reader.raw(Int(length)) else { return .needsMore }
    taken = buffer.count - reader.count
    guard let message = Message(type: type, body: Array(body)) else { return .malformed }
    return .message(message)
  }
}
