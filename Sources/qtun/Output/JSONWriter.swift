/// Builds one JSON text (RFC 8259) on one line, in the order in which members are written.
///
///     var json = JSONWriter()
///     json.object { ticket in
///       ticket.member("event", "ticket")
///       ticket.array("addresses") { for address in known { $0.element(address) } }
///     }
///
/// The output holds no control characters and none that reorder text on a terminal, so it may be
/// shown on one even when its values come from the network.
struct JSONWriter {
  /// The text so far.
  private(set) var text = ""

  private var needsComma = false

  /// Creates an empty text.
  init() {}

  /// Writes an object as the next value: the whole text, or an element of an array.
  mutating func object(_ body: (inout JSONWriter) -> Void) {
    nest("{", "}", body)
  }

  /// Writes a member that is an object.
  mutating func object(_ name: String, _ body: (inout JSONWriter) -> Void) {
    key(name)
    nest("{", "}", body)
  }

  /// Writes a member that is an array.
  mutating func array(_ name: String, _ body: (inout JSONWriter) -> Void) {
    key(name)
    nest("[", "]", body)
  }

  /// Writes a member that is a string.
  mutating func member(_ name: String, _ value: String) {
    key(name)
    string(value)
  }

  /// Writes a member that is a string, or null.
  mutating func member(_ name: String, _ value: String?) {
    key(name)
    if let value { string(value) } else { literal("null") }
  }

  /// Writes a member from bytes of unknown origin; what is not UTF-8 becomes U+FFFD.
  mutating func member(_ name: String, utf8 bytes: some Collection<UInt8>) {
    member(name, String(decoding: bytes, as: UTF8.self))
  }

  /// Writes a member that is an integer, or null.
  mutating func member(_ name: String, _ value: Int64?) {
    key(name)
    literal(value.map { String($0) } ?? "null")
  }

  /// Writes a member that is an integer which may exceed the signed range.
  mutating func member(_ name: String, _ value: UInt64) {
    key(name)
    literal(String(value))
  }

  /// Writes a member that is a number; JSON has no infinity and no NaN, so they become null.
  mutating func member(_ name: String, _ value: Double?) {
    key(name)
    if let value, value.isFinite { literal("\(value)") } else { literal("null") }
  }

  /// Writes a member that is true, false or null.
  mutating func member(_ name: String, _ value: Bool?) {
    key(name)
    literal(value.map { $0 ? "true" : "false" } ?? "null")
  }

  /// Writes a string as the next element of an array.
  mutating func element(_ value: String) {
    separate()
    string(value)
  }
}

// MARK: - Internals

extension JSONWriter {
  private mutating func nest(
    _ open: String, _ close: String, _ body: (inout JSONWriter) -> Void
  ) {
    separate()
    text += open
    needsComma = false
    body(&self)
    text += close
    needsComma = true
  }

  private mutating func key(_ name: String) {
    separate()
    string(name)
    text += ":"
    needsComma = false
  }

  private mutating func separate() {
    if needsComma { text += "," }
    needsComma = false
  }

  private mutating func literal(_ value: String) {
    text += value
    needsComma = true
  }

  private mutating func string(_ value: String) {
    text += "\""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      default:
        if TerminalText.isUnsafe(scalar) {
          // RFC 8259 §7: outside the basic plane, an escape is a pair of UTF-16 units.
          for unit in String(scalar).utf16 { text += Self.escape(unit) }
        } else {
          text.unicodeScalars.append(scalar)
        }
      }
    }
    text += "\""
    needsComma = true
  }

  private static func escape(_ unit: UInt16) -> String {
    let digits = String(unit, radix: 16)
    return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
  }
}
