/// The first bytes of a stream, which say what it is for; data follows.
protocol StreamHeader: Equatable {
  /// The header's bytes.
  var encoded: [UInt8] { get }
  /// Takes a header from the front of what has arrived of a stream.
  static func read(_ reader: inout WireReader) -> StreamHeaderPart<Self>
}

/// What the beginning of a stream has of a header.
enum StreamHeaderPart<Header: StreamHeader> {
  case whole(Header)
  /// It may become one.
  case beginning
  /// It never becomes one.
  case malformed
}

/// What a prefix of a stream amounts to.
enum StreamHeaderResult<Header: StreamHeader>: Equatable {
  /// A header, and the bytes that it took.
  case header(Header, count: Int)
  case needsMore
  case malformed
}

extension StreamHeader {
  /// - Parameter bytes: the stream's first bytes.
  static func decode(_ bytes: [UInt8]) -> StreamHeaderResult<Self> {
    var reader = WireReader(bytes)
    return switch read(&reader) {
    case .whole(let header): .header(header, count: bytes.count - reader.count)
    case .beginning: .needsMore
    case .malformed: .malformed
    }
  }
}
