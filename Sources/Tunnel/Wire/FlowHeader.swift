/// The first bytes of a flow's stream: what it carries and for which service.
///
///     kind (varint), name length (varint), name (UTF-8)
///     kind dynamic: host length (varint), host (UTF-8), port (2 bytes)
struct FlowHeader: StreamHeader {
  var kind: Kind
  /// The service's name; empty for the only one.
  var service: String
  /// What the dialer wants to reach; with the kind dynamic, and only there.
  var destination: Destination?

  enum Kind: UInt64 {
    /// A TCP connection: bytes both ways, FIN and RST as QUIC's FIN and RESET_STREAM.
    case tcp = 1
    /// The same to a destination that the dialer names; the sharing side begins with `GoAhead`.
    case dynamic = 2
  }

  /// A flow to what stands behind a service.
  init(kind: Kind, service: String) {
    self.kind = kind
    self.service = service
  }

  /// A flow through a dynamic service.
  init(service: String, destination: Destination) {
    kind = .dynamic
    self.service = service
    self.destination = destination
  }

  var encoded: [UInt8] {
    var writer = WireWriter()
    writer.varint(kind.rawValue)
    writer.prefixed(Array(service.utf8))
    if let destination {
      writer.prefixed(Array(destination.host.utf8))
      writer.uint16(destination.port)
    }
    return writer.bytes
  }

  static func read(_ reader: inout WireReader) -> StreamHeaderPart<FlowHeader> {
    guard let number = reader.varint() else { return .beginning }
    guard let kind = Kind(rawValue: number) else { return .malformed }
    guard let length = reader.varint() else { return .beginning }
    guard length <= UInt64(ControlMessage.nameMax) else { return .malformed }
    guard let name = reader.raw(Int(length)) else { return .beginning }
    var header = FlowHeader(kind: kind, service: String(decoding: name, as: UTF8.self))
    if kind == .dynamic {
      guard let length = reader.varint() else { return .beginning }
      guard (1...UInt64(Destination.hostMax)).contains(length) else { return .malformed }
      guard let host = reader.raw(Int(length)), let port = reader.uint16() else {
        return .beginning
      }
      guard port > 0 else { return .malformed }
      header.destination = Destination(host: String(decoding: host, as: UTF8.self), port: port)
    }
    return .whole(header)
  }

  /// Varints of any encoding, the longest name, and the longest host with its port.
  static let sizeMax = 8 + 8 + ControlMessage.nameMax + 8 + Destination.hostMax + 2
}
