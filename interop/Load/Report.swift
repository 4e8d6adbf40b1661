/// The one JSON object that a measurement prints on stdout, members in the order of adding.
struct Report {
  private var members: [String] = []

  /// Starts with the mode's name, so that a stored report explains itself.
  init(mode: String) { add("mode", mode) }

  /// Adds a whole number.
  mutating func add(_ name: String, _ value: Int) { members.append("\"\(name)\":\(value)") }

  /// Adds a number, rounded to four decimals; a value that JSON cannot hold becomes null.
  mutating func add(_ name: String, _ value: Double) {
    let text = value.isFinite ? "\((value * 1e4).rounded() / 1e4)" : "null"
    members.append("\"\(name)\":\(text)")
  }

  /// Adds a truth value.
  mutating func add(_ name: String, _ value: Bool) { members.append("\"\(name)\":\(value)") }

  /// Adds a text, escaped.
  mutating func add(_ name: String, _ value: String) {
    members.append("\"\(name)\":\(Self.quoted(value))")
  }

  /// Adds other reports as a list.
  mutating func add(_ name: String, _ values: [Report]) {
    members.append("\"\(name)\":[\(values.map(\.json).joined(separator: ","))]")
  }

  /// The object on one line.
  var json: String { "{\(members.joined(separator: ","))}" }

  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case let control where control.value < 0x20: result += " "
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
