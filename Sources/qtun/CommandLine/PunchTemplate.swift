/// The part of Go's text/template that netpunch's users write: text, fields, quoted text, comments
/// and the trimming of white space.
///
/// As in Go, `\n` in the text is a backslash and an n; `{{"\n"}}` is a newline.
struct PunchTemplate: Equatable, Sendable {
  private var pieces: [Piece] = []

  /// What netpunch prints where nothing else is asked for.
  static let standard = PunchTemplate(pieces: [
    .text("LADDR/LHOST/LPORT/RADDR/RHOST/RPORT:"), .text(" "), .field(.localAddress), .text(" "),
    .field(.localIP), .text(" "), .field(.localPort), .text(" "), .field(.remoteAddress),
    .text(" "), .field(.remoteIP), .text(" "), .field(.remotePort), .text("\n"),
  ])

  /// What a template can show.
  enum Field: String, CaseIterable, Sendable {
    case localAddress = "LocalAddr"
    case localIP = "LocalIP"
    case localPort = "LocalPort"
    case remoteAddress = "RemoteAddr"
    case remoteIP = "RemoteIP"
    case remotePort = "RemotePort"
  }

  private enum Piece: Equatable, Sendable {
    case text(String)
    case field(Field)
  }

  /// Why a template cannot be used; one clause.
  struct Problem: Error, Equatable, Sendable {
    let cause: String
  }

  private init(pieces: [Piece]) {
    self.pieces = pieces
  }

  /// Reads a template.
  init(_ template: String) throws(Problem) {
    var rest = template[...]
    var trimsNext = false
    while let opening = rest.firstRange(of: "{{") {
      var text = rest[..<opening.lowerBound]
      if trimsNext { text = Self.trimmedStart(text) }
      rest = rest[opening.upperBound...]
      // Go: a hyphen trims only with white space on its inner side; `{{-3}}` is a number.
      if rest.first == "-", rest.dropFirst().first.map(Self.isSpace) == true {
        text = Self.trimmedEnd(text)
        rest = rest.dropFirst()
      }
      append(text)
      var action = try Self.takeAction(&rest)
      trimsNext = action.last == "-" && action.dropLast().last.map(Self.isSpace) == true
      if trimsNext { action = action.dropLast() }
      try append(action: Self.trimmedStart(Self.trimmedEnd(action)))
    }
    append(trimsNext ? Self.trimmedStart(rest) : rest)
  }

  /// The template with its fields filled in.
  func render(_ value: (Field) -> String) -> String {
    pieces.reduce(into: "") { result, piece in
      switch piece {
      case .text(let text): result += text
      case .field(let field): result += value(field)
      }
    }
  }
}

// MARK: - Reading

extension PunchTemplate {
  private mutating func append(_ text: Substring) {
    if !text.isEmpty { pieces.append(.text(String(text))) }
  }

  private mutating func append(action: Substring) throws(Problem) {
    if action.hasPrefix("/*"), action.hasSuffix("*/"), action.utf8.count >= 4 { return }
    if action.hasPrefix("."), let field = Field(rawValue: String(action.dropFirst())) {
      pieces.append(.field(field))
    } else if action.hasPrefix("`"), action.hasSuffix("`"), action.utf8.count >= 2 {
      append(action.dropFirst().dropLast())
    } else if action.hasPrefix("\""), action.hasSuffix("\""), action.utf8.count >= 2 {
      append(try Self.unescaped(action.dropFirst().dropLast())[...])
    } else {
      let fields = Field.allCases.map { ".\($0.rawValue)" }.joined(separator: " ")
      throw Problem(
        cause: "{{\(action)}} is not understood; there are \(fields), \"quoted text\" and comments")
    }
  }

  /// Takes everything up to the `}}` that ends an action; one in quotes does not.
  private static func takeAction(_ rest: inout Substring) throws(Problem) -> Substring {
    var quote: Character?
    var index = rest.startIndex
    while index < rest.endIndex {
      let character = rest[index]
      if quote == "\"", character == "\\" {
        index = rest.index(after: index)
        if index == rest.endIndex { break }
      } else if let open = quote {
        if character == open { quote = nil }
      } else if character == "\"" || character == "`" {
        quote = character
      } else if rest[index...].hasPrefix("}}") {
        let action = rest[..<index]
        rest = rest[index...].dropFirst(2)
        return action
      }
      index = rest.index(after: index)
    }
    throw Problem(cause: "a {{ has no }}")
  }

  private static func unescaped(_ text: Substring) throws(Problem) -> String {
    var result = ""
    var rest = text
    while let character = rest.popFirst() {
      guard character == "\\" else {
        if character == "\"" { throw Problem(cause: "\"\(text)\" has a quote inside") }
        result.append(character)
        continue
      }
      switch rest.popFirst() {
      case "n": result += "\n"
      case "t": result += "\t"
      case "r": result += "\r"
      case "\\": result += "\\"
      case "\"": result += "\""
      default:
        throw Problem(cause: "\"\(text)\" has an escape other than \\n \\t \\r \\\\ \\\"")
      }
    }
    return result
  }

  private static func isSpace(_ character: Character) -> Bool {
    character == " " || character == "\t" || character == "\n" || character == "\r"
      || character == "\r\n"
  }

  private static func trimmedStart(_ text: Substring) -> Substring {
    text.drop(while: isSpace)
  }

  private static func trimmedEnd(_ text: Substring) -> Substring {
    guard let last = text.lastIndex(where: { !isSpace($0) }) else { return text.prefix(0) }
    return text[...last]
  }
}
