/// Cuts a byte stream into control messages, whatever the pieces it arrives in.
struct ControlDecoder {
  private var buffer: [UInt8] = []

  /// What the next bytes amount to.
  enum Result: Equatable {
    case message(ControlMessage)
    case needsMore
    /// The peer does not follow the protocol.
    case malformed
  }

  mutating func append(_ bytes: some Sequence<UInt8>) {
    buffer.append(contentsOf: bytes)
  }

  /// The next whole message. Call it until it needs more; the buffer then holds less than one
  /// message of the largest size.
  mutating func next() -> Result {
    var reader = WireReader(buffer)
    guard let type = reader.varint(), let length = reader.varint() else {
      return .needsMore
    }
    guard length <= UInt64(ControlMessage.bodyMax) else { return .malformed }
    guard let body = reader.raw(Int(length)) else { return .needsMore }
    buffer.removeFirst(buffer.count - reader.count)
    guard let message = ControlMessage(type: type, body: Array(body)) else { return .malformed }
    return .message(message)
  }
}
