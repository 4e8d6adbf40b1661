internal import QuicTransport

/// The first bytes of a stream that a relay opens to a node: a stranger connected to a public
/// listener of the node. The node answers with a `GoAhead` when its target is connected.
///
///     kind 5 (varint), listener (varint), the stranger's address (18 bytes), ours (18 bytes)
struct PublicHeader: StreamHeader {
  /// The number of the LISTEN.
  var listener: UInt64
  /// The stranger, as the relay saw it.
  var source: SocketAddress
  /// Where the stranger connected to.
  var destination: SocketAddress

  private static let kind: UInt64 = 5

  var encoded: [UInt8] {
    var writer = WireWriter()
    writer.varint(Self.kind)
    writer.varint(listener)
    writer.socketAddress(source)
    writer.socketAddress(destination)
    return writer.bytes
  }

  static func read(_ reader: inout WireReader) -> StreamHeaderPart<PublicHeader> {
    guard let kind = reader.varint() else { return .beginning }
    guard kind == Self.kind else { return .malformed }
    guard let listener = reader.varint(), let source = reader.socketAddress(),
      let destination = reader.socketAddress()
    else { return .beginning }
    return .whole(PublicHeader(listener: listener, source: source, destination: destination))
  }
}
