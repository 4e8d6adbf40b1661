/// Makes text safe and measurable for a terminal.
///
/// Words that come from the network, from file names or from the command line could otherwise
/// move the cursor, rewrite earlier lines or reorder what is read (terminal injection).
enum TerminalText {
  /// Whether a terminal may act on this scalar instead of showing it.
  static func isUnsafe(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x00...0x1F, 0x7F...0x9F: true  // C0, DEL and C1: ESC, CSI, newline, tab
    case 0x061C, 0x200E...0x200F, 0x202A...0x202E, 0x2066...0x2069: true  // direction
    case 0x2028...0x2029: true  // line and paragraph separators
    case 0x200B, 0x2060, 0xFEFF: true  // width zero: two names could look the same
    case 0xE0000...0xE007F: true  // invisible tags
    default: false
    }
  }

  /// The text with every unsafe scalar spelt out, such as `\u{1b}`.
  static func escaped(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: isUnsafe) else { return text }
    var result = ""
    for scalar in text.unicodeScalars {
      if isUnsafe(scalar) {
        result += escape(scalar)
      } else {
        result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  /// A value for `key=value`: as it is where that is unambiguous, else in double quotes.
  static func quotedIfNeeded(_ text: String) -> String {
    let needsQuotes = text.unicodeScalars.contains { scalar in
      scalar == " " || scalar == "\"" || scalar == "=" || scalar == "\\" || isUnsafe(scalar)
    }
    return needsQuotes || text.isEmpty ? quoted(text) : text
  }

  /// The text in double quotes, with quotes, backslashes and unsafe scalars escaped.
  static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      default:
        if isUnsafe(scalar) {
          result += escape(scalar)
        } else {
          result.unicodeScalars.append(scalar)
        }
      }
    }
    return result + "\""
  }

  /// How many columns a terminal gives to this scalar.
  static func columns(of scalar: Unicode.Scalar) -> Int {
    switch scalar.value {
    case 0x0300...0x036F, 0x200B...0x200F, 0x20D0...0x20FF, 0xFE00...0xFE0F: 0
    case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF: 2
    case 0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6: 2
    case 0x1F300...0x1F64F, 0x1F680...0x1F9FF, 0x20000...0x3FFFD: 2
    default: 1
    }
  }

  /// The longest start of the text that fits into so many columns, ending in `…` where it is cut.
  static func fitted(_ text: String, columns limit: Int) -> String {
    var used = 0
    var fitting = ""
    var withEllipsis = ""
    for scalar in text.unicodeScalars {
      used += columns(of: scalar)
      guard used <= limit else { return limit > 0 ? withEllipsis + "…" : "" }
      fitting.unicodeScalars.append(scalar)
      if used < limit { withEllipsis = fitting }
    }
    return text
  }

  /// The longest start of the text of at most so many UTF-8 bytes, ending in `…` where it is cut.
  static func truncated(_ text: String, bytes limit: Int) -> String {
    guard text.utf8.count > limit else { return text }
    var result = ""
    var used = "…".utf8.count
    for scalar in text.unicodeScalars {
      used += UTF8.width(scalar)
      guard used <= limit else { break }
      result.unicodeScalars.append(scalar)
    }
    return result + "…"
  }

  private static func escape(_ scalar: Unicode.Scalar) -> String {
    "\\u{" + String(scalar.value, radix: 16) + "}"
  }
}
