/// The first bytes of a flow's stream: what it carries and for which service.
///
///     kind (varint), name length (varint), name (UTF-8)
struct FlowHeader: Equatable {
  var kind: Kind
  /// The service's name; empty for the only one.
  var service: String

  enum Kind: UInt64 {
    /// A TCP connection: bytes both ways, FIN and RST as QUIC's FIN and RESET_STREAM.
    case tcp = 1
  }

  var encoded: [UInt8] {
    var writer = WireWriter()
    writer.varint(kind.rawValue)
    writer.prefixed(Array(service.utf8))
    return writer.bytes
  }

  /// What a prefix of a stream amounts to.
  enum Result: Equatable {
    /// A header, and the bytes that it took.
    case header(FlowHeader, count: Int)
    case needsMore
    case malformed
  }

  /// - Parameter bytes: the stream's first bytes, `sizeMax` of them at most.
  static func decode(_ bytes: [UInt8]) -> Result {
    var reader = WireReader(bytes)
    guard let number = reader.varint() else { return .needsMore }
    guard let kind = Kind(rawValue: number) else { return .malformed }
    guard let length = reader.varint() else { return .needsMore }
    guard length <= UInt64(ControlMessage.nameMax) else { return .malformed }
    guard let name = reader.raw(Int(length)) else { return .needsMore }
    let header = FlowHeader(kind: kind, service: String(decoding: name, as: UTF8.self))
    return .header(header, count: bytes.count - reader.count)
  }

  /// Two varints of any encoding and the longest name.
  static let sizeMax = 8 + 8 + ControlMessage.nameMax
}
