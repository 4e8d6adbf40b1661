/// The head of an HTTP/1.1 message (RFC 9112 §2.1): the start line and the fields, without a body.
///
/// Requests and answers alike, read as leniently as RFC 9112 §2.2 asks for: for heads that end with us,
/// and for those that only pass by and are looked at. Where it matters that nobody behind us reads a
/// head in another way, it is `HTTPHead`'s, which is strict.
struct LenientHead: Equatable {
  /// `GET /qtun HTTP/1.1` or `HTTP/1.1 101 Switching Protocols`
  let startLine: String
  let fields: [Field]

  struct Field: Equatable {
    /// In lower case.
    let name: String
    /// As it came: no encoding is agreed on (RFC 9110 §5.5).
    let bytes: [UInt8]

    var value: String { String(decoding: bytes, as: UTF8.self) }
  }

  /// The parts of the start line; the last one takes the rest of the line.
  var startParts: [Substring] {
    startLine.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
  }

  /// The status of a response; nil where the start line is no status line (RFC 9112 §4).
  var status: Int? {
    let parts = startParts
    guard parts.count >= 2, parts[0].hasPrefix("HTTP/1."), parts[1].utf8.count == 3,
      parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) })
    else { return nil }
    return Int(parts[1])
  }

  /// The members, in lower case, of the comma-separated lists in every field of that name.
  func members(of name: String) -> [String] {
    values(name).flatMap { value in
      value.split(separator: ",").map { FieldRules.lowercased(Self.trimmed($0)) }
    }
  }

  /// The values of every field of that name, which is in lower case.
  func values(_ name: String) -> [String] {
    fields.filter { $0.name == name }.map(\.value)
  }

  /// The value of a field that must stand there once.
  func only(_ name: String) -> String? {
    let values = values(name)
    return values.count == 1 ? values[0] : nil
  }

  /// Whether a field that is a list (RFC 9110 §5.6.1) has this member, in whatever case.
  func lists(_ member: String, in name: String) -> Bool {
    members(of: name).contains(member)
  }

  /// Reads the lines between the first byte and the empty line; nil where one is no field.
  init?(_ bytes: [UInt8]) {
    var lines = bytes.split(separator: UInt8(ascii: "\n")).map { line in
      line.last == UInt8(ascii: "\r") ? line.dropLast() : line
    }[...]
    guard let start = lines.popFirst() else { return nil }
    var fields: [Field] = []
    for line in lines where !line.isEmpty {
      // RFC 9112 §5.1: no white space before the colon; §5.2: no folded lines.
      guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon != line.startIndex else {
        return nil
      }
      let name = String(decoding: line[..<colon], as: UTF8.self)
      guard !name.contains(where: \.isWhitespace) else { return nil }
      fields.append(
        Field(name: FieldRules.lowercased(name), bytes: Array(Self.trimmed(line[(colon + 1)...]))))
    }
    startLine = String(decoding: start, as: UTF8.self)
    self.fields = fields
  }

  private static func trimmed(_ text: Substring) -> Substring {
    var text = text
    while text.first == " " || text.first == "\t" { text.removeFirst() }
    while text.last == " " || text.last == "\t" { text.removeLast() }
    return text
  }

  private static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    var rest = bytes.drop { $0 == 0x20 || $0 == 0x09 }
    while rest.last == 0x20 || rest.last == 0x09 { rest.removeLast() }
    return rest
  }
}

/// Finds the head of an HTTP message in a byte stream that comes in pieces, and no more than that.
struct LenientHeadReader {
  private let bytesMax: Int
  private var bytes: [UInt8] = []
  /// How many bytes stand in the last line so far, but for a carriage return.
  private var lineCount = 0

  /// - Parameter bytesMax: longer heads are too long.
  init(bytesMax: Int = LenientHeadReader.bytesMax) {
    self.bytesMax = bytesMax
  }

  /// What a piece of the stream brought.
  enum Outcome: Equatable {
    case needsMore
    /// The head is whole; it ended after this many bytes of the piece.
    case head(LenientHead, count: Int)
    case malformed
    case oversized
  }

  /// Takes the next piece of the stream.
  mutating func read(_ piece: UnsafeRawBufferPointer) -> Outcome {
    for (index, byte) in piece.enumerated() {
      guard bytes.count < bytesMax else { return .oversized }
      bytes.append(byte)
      switch byte {
      case UInt8(ascii: "\n"):
        // RFC 9112 §2.2: a single LF may end a line too.
        guard lineCount == 0 else {
          lineCount = 0
          continue
        }
        return LenientHead(bytes).map { .head($0, count: index + 1) } ?? .malformed
      case UInt8(ascii: "\r"): break
      case 0: return .malformed
      default: lineCount += 1
      }
    }
    return .needsMore
  }

  /// Far above what an upgrade or a proxy's answer takes.
  static let bytesMax = 8_192
}
