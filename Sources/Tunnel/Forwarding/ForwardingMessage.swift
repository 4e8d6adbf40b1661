internal import QuicTransport

/// What a relay says about relayed sessions on the control stream of `qtun-relay/1`: types 16 to 19
/// of `RelayMessage`. docs/protocol.md has the bytes and test vectors.
///
/// A node asks for nothing: two nodes that set `RelayMessage.forwards` in their greetings get a leg
/// each when the registered one admits the other, and keep it as long as the introduction.
enum ForwardingMessage: Equatable {
  /// 16: the node's leg, bound to the path that this message arrives on.
  case leg(introduction: UInt64, LegGrant)
  /// 17: there is no leg, and why (`RelayRefusal`).
  case refused(introduction: UInt64, reason: UInt8)
  /// 18: the legs were not used and are gone.
  case ended(introduction: UInt64)
  /// 19: the node sends more than it may, and what is too much is lost. At most once a second.
  case throttled(introduction: UInt64, bytesPerSecond: UInt64)

  /// The types that are ours.
  static let types: ClosedRange<UInt64> = 16...19

  var type: UInt64 {
    switch self {
    case .leg: 16
    case .refused: 17
    case .ended: 18
    case .throttled: 19
    }
  }

  func write(to body: inout WireWriter) {
    switch self {
    case .leg(let introduction, let grant):
      body.varint(introduction)
      body.uint64(UInt64(grant.session) << 32 | UInt64(grant.generation))
      body.raw(grant.key)
    case .refused(let introduction, let reason):
      body.varint(introduction)
      body.byte(reason)
    case .ended(let introduction): body.varint(introduction)
    case .throttled(let introduction, let rate):
      body.varint(introduction)
      body.varint(rate)
    }
  }

  /// Decodes a body of one of `types`: nil if it is malformed.
  static func message(type: UInt64, _ reader: inout WireReader) -> RelayMessage? {
    guard let introduction = reader.varint() else { return nil }
    switch type {
    case 16:
      guard let numbers = reader.uint64(), let key = reader.raw(LegGrant.keyCount) else {
        return nil
      }
      let grant = LegGrant(
        session: UInt32(numbers >> 32), generation: UInt32(truncatingIfNeeded: numbers),
        key: Array(key))
      return .forwarding(.leg(introduction: introduction, grant))
    case 17:
      return reader.byte().map { .forwarding(.refused(introduction: introduction, reason: $0)) }
    case 18: return .forwarding(.ended(introduction: introduction))
    default:
      return reader.varint().map {
        .forwarding(.throttled(introduction: introduction, bytesPerSecond: $0))
      }
    }
  }
}

extension RelayMessage {
  /// The bit of HELLO and WELCOME for relayed datagrams.
  static let forwards: UInt64 = 1
}
