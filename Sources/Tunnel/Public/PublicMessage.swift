internal import QuicTransport

/// What a node and a relay say about public listeners on the control stream of `qtun-relay/1`: types
/// 20 to 27 of `RelayMessage`. docs/protocol.md has the bytes and test vectors.
enum PublicMessage: Equatable {
  /// 20, node: listen for me.
  case listen(PublicRequest)
  /// 21, relay: what became of it.
  case listening(Answer)
  /// 22, node: no more connections of this listener.
  case unlisten(number: UInt64)
  /// 23, relay: the listener is no more and its last connection is over; or why it was taken away.
  case ended(number: UInt64, PublicStatus)
  /// 24, node: whether its target passes the health check. Without a word of it, it does.
  case health(number: UInt64, isUp: Bool)

  struct Answer: Equatable {
    var number: UInt64
    var status: PublicStatus
    /// Where: the port itself, or the one that all names of its kind share; 0 if nowhere.
    var port: UInt16
    /// The host that visitors shall name; empty where the node's own name for the relay does.
    var host: String
  }

  /// The types that are ours.
  static let types: ClosedRange<UInt64> = 20...27

  var type: UInt64 {
    switch self {
    case .listen: 20
    case .listening: 21
    case .unlisten: 22
    case .ended: 23
    case .health: 24
    }
  }

  func write(to body: inout WireWriter) {
    switch self {
    case .listen(let request):
      body.varint(request.number)
      body.varint(request.kind?.number ?? 0)
      body.uint16(request.port)
      body.prefixed(Array(request.name.utf8))
      body.raw(request.label)
      body.prefixed(request.group)
      body.byte(request.balance.number)
    case .listening(let answer):
      body.varint(answer.number)
      body.varint(answer.status.number)
      body.uint16(answer.port)
      body.prefixed(Array(answer.host.utf8))
    case .unlisten(let number): body.varint(number)
    case .ended(let number, let status):
      body.varint(number)
      body.varint(status.number)
    case .health(let number, let isUp):
      body.varint(number)
      body.byte(isUp ? 1 : 0)
    }
  }

  /// Decodes a body of one of `types`: nil if it is malformed, unknown where the type is.
  static func message(type: UInt64, _ reader: inout WireReader) -> RelayMessage? {
    guard (20...24).contains(type) else { return .unknown(type: type) }
    guard let number = reader.varint() else { return nil }
    switch type {
    case 20: return request(number, &reader).map { .listening(.listen($0)) }
    case 21:
      guard let status = reader.varint(), let port = reader.uint16(), let host = reader.name()
      else { return nil }
      let answer = Answer(
        number: number, status: PublicStatus(number: status), port: port, host: host)
      return .listening(.listening(answer))
    case 22: return .listening(.unlisten(number: number))
    case 24:
      return reader.byte().map { .listening(.health(number: number, isUp: $0 != 0)) }
    default:
      return reader.varint().map {
        .listening(.ended(number: number, PublicStatus(number: $0)))
      }
    }
  }

  private static func request(_ number: UInt64, _ reader: inout WireReader) -> PublicRequest? {
    guard let kind = reader.varint(), let port = reader.uint16(), let name = reader.name(),
      let label = reader.raw(PublicRequest.labelCount),
      let group = reader.prefixed(max: PublicRequest.groupCount),
      group.isEmpty || group.count == PublicRequest.groupCount, let balance = reader.byte()
    else { return nil }
    return PublicRequest(
      number: number, kind: PublicKind(number: kind), port: port, name: name, label: Array(label),
      group: Array(group), balance: Balance(number: balance))
  }
}

extension WireReader {
  /// A host name, or nothing: what is shown to people, so nothing but its characters.
  fileprivate mutating func name() -> String? {
    guard let bytes = prefixed(max: PublicRequest.nameMax),
      bytes.allSatisfy(PublicName.isAllowed)
    else { return nil }
    return String(decoding: bytes, as: UTF8.self)
  }
}

extension RelayMessage {
  /// The bit of HELLO and WELCOME for public listeners.
  static let listensPublicly: UInt64 = 1 << 5
}
