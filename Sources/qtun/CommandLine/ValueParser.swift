/// Reads the words of a command line as values of one type.
struct ValueParser<Value: Sendable>: Sendable {
  /// Turns a word into a value or says why it is none.
  let parse: @Sendable (String) throws(ValueProblem) -> Value
}

extension ValueParser where Value == String {
  /// The name of a file.
  static let path = ValueParser { (text) throws(ValueProblem) in
    guard !text.isEmpty else {
      throw ValueProblem(text, "is not a file name", fix: "name a file")
    }
    return text
  }

  /// Any text that is not empty, to be read more closely elsewhere.
  static let text = ValueParser { (text) throws(ValueProblem) in
    guard !text.isEmpty else { throw ValueProblem(text, "is empty", fix: "leave it out") }
    return text
  }
}

extension ValueParser where Value == HostPort {
  /// A host and a port.
  static func hostPort(_ rule: HostPort.Rule) -> ValueParser {
    ValueParser { (text) throws(ValueProblem) in try HostPort.parse(text, rule: rule) }
  }
}

extension ValueParser where Value == NamedPlace {
  /// A place, perhaps with a name in front.
  static func namedPlace(_ rule: HostPort.Rule) -> ValueParser {
    ValueParser { (text) throws(ValueProblem) in try NamedPlace.parse(text, rule: rule) }
  }
}

extension ValueParser where Value: RawRepresentable<String> & CaseIterable {
  /// One of the words that an enumeration lists.
  static var choice: ValueParser {
    ValueParser { (text) throws(ValueProblem) in
      if let value = Value(rawValue: text) { return value }
      let words = Value.allCases.map(\.rawValue)
      if let nearest = Spelling.nearest(to: text, among: words) {
        throw ValueProblem(text, "is not a choice", fix: "did you mean \(nearest)?")
      }
      let list = words.joined(separator: " or ")
      throw ValueProblem(text, "is not a choice", fix: "choose \(list)")
    }
  }
}

extension ValueParser where Value == Duration {
  /// A span of time with units, such as `500ms`, `15s`, `2m` or `1h30m`.
  static func duration(in range: ClosedRange<Duration>) -> ValueParser {
    ValueParser { (text) throws(ValueProblem) in
      let value = try parseDuration(text)
      guard range.contains(value) else {
        let bounds = "\(Format.exact(range.lowerBound)) to \(Format.exact(range.upperBound))"
        throw ValueProblem(text, "is out of range", fix: "choose a duration from \(bounds)")
      }
      return value
    }
  }

  private static func parseDuration(_ text: String) throws(ValueProblem) -> Duration {
    // Descending, so that each unit occurs at most once and the order is the natural one.
    let units: [(name: String, milliseconds: Int64)] = [
      ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1),
    ]
    let problem = ValueProblem(
      text, "is not a duration",
      fix: "write a number with a unit, such as 500ms, 15s, 2m, 8h, 1d or 1h30m")
    var rest = text[...]
    var unitsLeft = units[...]
    var total: Int64 = 0
    guard !rest.isEmpty else { throw problem }
    while !rest.isEmpty {
      let digits = rest.prefix { $0.isASCII && $0.isNumber }
      rest = rest.dropFirst(digits.count)
      let name = rest.prefix { $0.isASCII && $0.isLetter }
      rest = rest.dropFirst(name.count)
      guard let number = Int64(digits),
        let unit = unitsLeft.firstIndex(where: { $0.name == name })
      else { throw problem }
      let product = number.multipliedReportingOverflow(by: unitsLeft[unit].milliseconds)
      let sum = total.addingReportingOverflow(product.partialValue)
      guard !product.overflow, !sum.overflow else { throw problem }
      total = sum.partialValue
      unitsLeft = unitsLeft[(unit + 1)...]
    }
    return .milliseconds(total)
  }
}

extension ValueParser where Value == RetryChoice {
  /// A number of attempts, or a word.
  static let retry = ValueParser { (text) throws(ValueProblem) in
    switch text {
    case "never": return .never
    case "forever": return .forever
    default:
      guard let count = Int(text), (0...1_000_000).contains(count) else {
        throw ValueProblem(
          text, "is not a number of attempts", fix: "write a number, forever or never")
      }
      return count == 0 ? .never : .times(count)
    }
  }
}
