/// How the end of an HTTP/1.1 message's body is known (RFC 9112 §6.3).
enum BodyFraming: Equatable {
  /// By its length, which may be zero.
  case length(UInt64)
  /// By its chunks (RFC 9112 §7.1).
  case chunked
  /// By the end of the connection; answers only.
  case untilClose

  /// The framing of a request's body; nil where two readers could see two ends, which is how requests
  /// are smuggled (RFC 9112 §11.2).
  ///
  /// - Parameters:
  ///   - codings: the members of Transfer-Encoding, in lower case.
  ///   - lengths: the values of the Content-Length fields.
  static func ofRequest(codings: [String], lengths: [String], minorVersion: Int) -> BodyFraming? {
    guard codings.isEmpty else {
      // RFC 9112 §6.1: not with a length, not in HTTP/1.0, and whoever serves us knows chunks alone.
      return codings == ["chunked"] && lengths.isEmpty && minorVersion > 0 ? .chunked : nil
    }
    guard let first = lengths.first else { return .length(0) }
    return lengths.count == 1 ? length(first) : nil
  }

  /// The framing of an answer's body, but for what its status and the request's method say
  /// (`AnswerReader`); nil for a length that is none.
  static func ofAnswer(codings: [String], lengths: [String]) -> BodyFraming? {
    guard codings.isEmpty else { return codings.last == "chunked" ? .chunked : .untilClose }
    guard let first = lengths.first else { return .untilClose }
    return Set(lengths).count == 1 ? length(first) : nil
  }

  /// RFC 9110 §8.6: digits.
  private static func length(_ text: String) -> BodyFraming? {
    guard (1...18).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) })
    else { return nil }
    return UInt64(text).map { .length($0) }
  }
}

/// Finds the end of a body that passes by. It keeps none of it.
struct BodyCounter {
  /// What a piece of the stream was.
  enum Outcome: Equatable {
    /// All of it belongs to the body, and there is more to come.
    case goesOn
    /// The body ended after this many bytes of the piece.
    case ended(count: Int)
    /// These are no chunks.
    case malformed
  }

  private var state: State
  /// Bytes behind the size of this chunk, or of the trailer.
  private var overhead = 0

  private enum State {
    case counting(UInt64)
    case untilClose
    /// Of a chunk, with the digits so far.
    case size(UInt64, digits: Int)
    /// What stands behind the size, up to the end of the line.
    case extensions(UInt64)
    case sizeLineFeed(UInt64)
    case chunk(UInt64)
    case chunkReturn
    case chunkLineFeed
    /// After the last chunk; so many bytes stand in the line so far.
    case trailer(Int)
    case trailerLineFeed(Int)
  }

  init(_ framing: BodyFraming) {
    state =
      switch framing {
      case .length(let count): .counting(count)
      case .chunked: .size(0, digits: 0)
      case .untilClose: .untilClose
      }
  }

  /// Whether the body has no byte at all.
  var isEmpty: Bool {
    if case .counting(0) = state { return true }
    return false
  }

  /// Whether nothing but the end of the connection ends it.
  var endsWithConnection: Bool {
    if case .untilClose = state { return true }
    return false
  }

  /// Takes the next bytes of the stream.
  ///
  /// - Parameter data: is lent what of them is the body itself, without what chunks add.
  mutating func read<Bytes: RandomAccessCollection<UInt8>>(
    _ bytes: Bytes, data: (Bytes.SubSequence) -> Void = { _ in }
  ) -> Outcome {
    if isEmpty { return .ended(count: 0) }
    var rest = bytes[...]
    while !rest.isEmpty {
      let isOver: Bool
      switch state {
      case .untilClose:
        data(rest)
        return .goesOn
      case .counting(let left):
        let count = Int(min(left, UInt64(rest.count)))
        data(rest.prefix(count))
        rest = rest.dropFirst(count)
        state = .counting(left - UInt64(count))
        isOver = left == UInt64(count)
      case .chunk(let left):
        let count = Int(min(left, UInt64(rest.count)))
        data(rest.prefix(count))
        rest = rest.dropFirst(count)
        state = left == UInt64(count) ? .chunkReturn : .chunk(left - UInt64(count))
        isOver = false
      default:
        guard let byte = rest.popFirst(), let verdict = takeByte(byte) else { return .malformed }
        isOver = verdict
      }
      if isOver { return .ended(count: bytes.count - rest.count) }
    }
    return .goesOn
  }

  /// One byte between the data of chunks: whether the body ended with it; nil where it may not stand
  /// there. Lines end with both CR and LF, as anything else is read in two ways.
  private mutating func takeByte(_ byte: UInt8) -> Bool? {
    switch state {
    case .size(let size, let digits):
      if let value = Self.hexadecimal(byte) {
        // As many as 60 bits have.
        guard digits < 15 else { return nil }
        state = .size(size << 4 | value, digits: digits + 1)
        return false
      }
      guard digits > 0 else { return nil }
      switch byte {
      case 0x0d: state = .sizeLineFeed(size)
      case 0x3b, 0x20, 0x09: state = .extensions(size)
      default: return nil
      }
    case .extensions(let size):
      overhead += 1
      guard overhead <= Self.overheadMax, byte != 0x0a else { return nil }
      if byte == 0x0d { state = .sizeLineFeed(size) }
    case .sizeLineFeed(let size):
      guard byte == 0x0a else { return nil }
      state = size > 0 ? .chunk(size) : .trailer(0)
    case .chunkReturn:
      guard byte == 0x0d else { return nil }
      state = .chunkLineFeed
    case .chunkLineFeed:
      guard byte == 0x0a else { return nil }
      state = .size(0, digits: 0)
      overhead = 0
    case .trailer(let count):
      overhead += 1
      guard overhead <= Self.overheadMax, byte != 0x0a else { return nil }
      state = byte == 0x0d ? .trailerLineFeed(count) : .trailer(count + 1)
    case .trailerLineFeed(let count):
      guard byte == 0x0a else { return nil }
      if count == 0 {
        state = .counting(0)
        return true
      }
      state = .trailer(0)
    case .counting, .untilClose, .chunk: break
    }
    return false
  }

  private static func hexadecimal(_ byte: UInt8) -> UInt64? {
    switch byte {
    case 0x30...0x39: UInt64(byte - 0x30)
    case 0x41...0x46: UInt64(byte - 0x41 + 10)
    case 0x61...0x66: UInt64(byte - 0x61 + 10)
    default: nil
    }
  }

  /// Programs that use extensions and trailers at all need a fraction.
  private static let overheadMax = 16 * 1024
}
