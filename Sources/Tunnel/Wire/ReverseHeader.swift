internal import QuicTransport

/// The first bytes of a stream that the sharing side opens: a program connected to a listener that
/// the dialler asked for.
///
///     kind 3 (varint), listener (varint), address (16 bytes), port (2 bytes)
struct ReverseHeader: Equatable {
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

  /// What a prefix of a stream amounts to.
  enum Result: Equatable {
    /// A header, and the bytes that it took.
    case header(ReverseHeader, count: Int)
    case needsMore
    case malformed
  }

  /// - Parameter bytes: the stream's first bytes.
  static func decode(_ bytes: [UInt8]) -> Result {
    var reader = WireReader(bytes)
    guard let kind = reader.varint() else { return .needsMore }
    guard kind == Self.kind else { return .malformed }
    guard let listener = reader.varint(), let source = reader.socketAddress() else {
      return .needsMore
    }
    let header = ReverseHeader(listener: listener, source: source)
    return .header(header, count: bytes.count - reader.count)
  }
}
