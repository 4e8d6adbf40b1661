internal import QuicTransport

/// The one byte that the sharing side puts in front of a dynamic flow's data: the destination is
/// connected. If it cannot be, the stream is reset instead.
///
/// Flows of other kinds have none: there nobody waits to hear it.
enum GoAhead {
  /// As it stands on the stream.
  static let byte: UInt8 = 0

  /// What a stream says.
  enum Reading {
    case notYet
    case given
    /// Another byte, or the end of the stream.
    case malformed
  }

  /// Takes it from the front of a stream.
  static func read(from stream: StreamCore) -> Reading {
    var value: UInt8 = 0
    let count = withUnsafeMutableBytes(of: &value) { stream.read(into: $0) }
    if count == 0 { return stream.isAtEnd ? .malformed : .notYet }
    return value == byte ? .given : .malformed
  }
}
