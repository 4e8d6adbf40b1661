/// A JSON text (RFC 8259) that was read. For what other runs of `qtun` say: bounded in size by its
/// reader and in depth here, so that nothing it says can exhaust this process.
enum JSONValue: Equatable, Sendable {
  case null
  case flag(Bool)
  /// Every number that we write is an integer; others are cut to one.
  case number(Int64)
  case text(String)
  case array([JSONValue])
  case object([String: JSONValue])

  /// The value of a whole text; nil if it is none.
  init?(_ text: some Collection<UInt8>) {
    var reader = JSONReader(Array(text))
    guard let value = reader.wholeText() else { return nil }
    self = value
  }

  /// A member of an object; nil where there is none.
  subscript(name: String) -> JSONValue? {
    if case .object(let members) = self { members[name] } else { nil }
  }

  /// The text, if it is one.
  var text: String? { if case .text(let text) = self { text } else { nil } }

  /// The number, if it is one.
  var number: Int64? { if case .number(let number) = self { number } else { nil } }

  /// The elements; none where it is no array.
  var elements: [JSONValue] { if case .array(let elements) = self { elements } else { [] } }

  /// The members in the order of their names; none where it is no object.
  var members: [(name: String, value: JSONValue)] {
    guard case .object(let members) = self else { return [] }
    return members.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }
}

/// Reads one JSON text from bytes; recursive descent, at most `depthMax` levels.
private struct JSONReader {
  private let bytes: [UInt8]
  private var position = 0
  private var depth = 0

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
  }

  mutating func wholeText() -> JSONValue? {
    guard let value = value() else { return nil }
    skipSpace()
    return position == bytes.count ? value : nil
  }

  private mutating func value() -> JSONValue? {
    skipSpace()
    guard depth < Self.depthMax, let first = peek else { return nil }
    depth += 1
    defer { depth -= 1 }
    switch first {
    case UInt8(ascii: "{"): return object()
    case UInt8(ascii: "["): return array()
    case UInt8(ascii: "\""): return string().map(JSONValue.text)
    case UInt8(ascii: "t"): return take("true") ? .flag(true) : nil
    case UInt8(ascii: "f"): return take("false") ? .flag(false) : nil
    case UInt8(ascii: "n"): return take("null") ? .null : nil
    default: return number()
    }
  }

  private mutating func object() -> JSONValue? {
    position += 1
    var members: [String: JSONValue] = [:]
    if takeByte("}") { return .object(members) }
    repeat {
      skipSpace()
      guard let name = string(), takeByte(":"), let value = value() else { return nil }
      members[name] = value
    } while takeByte(",")
    return takeByte("}") ? .object(members) : nil
  }

  private mutating func array() -> JSONValue? {
    position += 1
    var elements: [JSONValue] = []
    if takeByte("]") { return .array(elements) }
    repeat {
      guard let value = value() else { return nil }
      elements.append(value)
    } while takeByte(",")
    return takeByte("]") ? .array(elements) : nil
  }

  private mutating func number() -> JSONValue? {
    let start = position
    while let byte = peek, "+-.eE0123456789".utf8.contains(byte) { position += 1 }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    if let whole = Int64(text) { return .number(whole) }
    guard let value = Double(text), value.magnitude < 9e18 else { return nil }
    return .number(Int64(value))
  }

  private mutating func string() -> String? {
    guard takeByte("\"") else { return nil }
    var units: [UInt8] = []
    while let byte = next() {
      switch byte {
      case UInt8(ascii: "\""): return String(decoding: units, as: UTF8.self)
      case UInt8(ascii: "\\"):
        guard let scalar = escape() else { return nil }
        units.append(contentsOf: UTF8.encode(scalar).map(Array.init) ?? [])
      case 0..<0x20: return nil
      default: units.append(byte)
      }
    }
    return nil
  }

  private mutating func escape() -> Unicode.Scalar? {
    switch next() {
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{c}"
    case UInt8(ascii: "u"): return unicodeEscape()
    case let byte? where "\"\\/".utf8.contains(byte): return Unicode.Scalar(byte)
    default: return nil
    }
  }

  /// RFC 8259 §7: beyond the basic plane, a pair of UTF-16 units.
  private mutating func unicodeEscape() -> Unicode.Scalar? {
    guard let first = hexUnit() else { return nil }
    guard UTF16.isLeadSurrogate(first) else { return Unicode.Scalar(first) }
    guard next() == UInt8(ascii: "\\"), next() == UInt8(ascii: "u"), let second = hexUnit(),
      UTF16.isTrailSurrogate(second)
    else { return nil }
    return Unicode.Scalar(0x10000 + (UInt32(first & 0x3ff) << 10 | UInt32(second & 0x3ff)))
  }

  private mutating func hexUnit() -> UInt16? {
    guard position + 4 <= bytes.count else { return nil }
    let digits = bytes[position..<position + 4]
    position += 4
    guard digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }) else { return nil }
    return UInt16(String(decoding: digits, as: UTF8.self), radix: 16)
  }

  // MARK: Bytes

  private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

  private mutating func next() -> UInt8? {
    defer { position += 1 }
    return peek
  }

  private mutating func take(_ word: StaticString) -> Bool {
    let word = Array("\(word)".utf8)
    guard bytes[position...].starts(with: word) else { return false }
    position += word.count
    return true
  }

  /// Takes one mark, with space in front of it.
  private mutating func takeByte(_ mark: Unicode.Scalar) -> Bool {
    skipSpace()
    guard peek == UInt8(ascii: mark) else { return false }
    position += 1
    return true
  }

  private mutating func skipSpace() {
    while let byte = peek, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 {
      position += 1
    }
  }

  private static let depthMax = 16
}
