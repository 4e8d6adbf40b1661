internal import QuicTransport

/// The first bytes of a stream that the sharing side opens: a program connected to a listener that
/// the dialler asked for.
///
///     kind 3 (varint), listener (varint), address (16 bytes), port (2 bytes)
struct ReverseHeader: StreamHeader {
  /// The number of the LISTEN.
  var listener: UInt64
  /// The program that connected, as the sharing side saw it.
  var source: SocketAddress

  private static let kind: UInt64 = 3

  var encoded: [UInt8] {
    var writer = WireWriter()
    writer.varint(Self.kind)
    writer.varint(listener)
    writer.socketAddress(source)
    return writer.bytes
  }

  static func read(_ reader: inout WireReader) -> StreamHeaderPart<ReverseHeader> {
    guard let kind = reader.varint() else { return .beginning }
    guard kind == Self.kind else { return .malformed }
    guard let listener = reader.varint(), let source = reader.socketAddress() else {
      return .beginning
    }
    return .whole(ReverseHeader(listener: listener, source: source))
  }
}
