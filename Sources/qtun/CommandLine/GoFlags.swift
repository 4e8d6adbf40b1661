/// Reads flags as Go's `flag` package does, for the command that takes netpunch's command lines.
///
/// One hyphen or two; `-name=value` or `-name value`, where the value may begin with a hyphen; a
/// flag without a value may be given one with `=`; of two the last holds; the first other word ends
/// them.
struct GoFlags {
  /// What was given, in order.
  private(set) var given: [(name: String, value: String)] = []
  /// What could not be understood.
  private(set) var complaints: [Complaint] = []

  /// Reads the words behind the command.
  init(_ words: [String], specs: [OptionSpec]) {
    var rest = words[...]
    while let word = rest.popFirst() {
      guard word.hasPrefix("-"), word != "-" else {
        complainSpare(word)
        return
      }
      if word == "--" {
        if let spare = rest.first { complainSpare(spare) }
        return
      }
      read(word.dropFirst(word.hasPrefix("--") ? 2 : 1), &rest, specs)
    }
  }

  /// The value that holds for a flag.
  func value(_ spec: OptionSpec) -> String? {
    given.last { $0.name == spec.long }?.value
  }

  /// Whether a flag without a value is set.
  func isSet(_ spec: OptionSpec) -> Bool {
    value(spec).map(Self.isTrue) == true
  }
}

// MARK: - Internals

extension GoFlags {
  private mutating func read(
    _ text: Substring, _ rest: inout ArraySlice<String>, _ specs: [OptionSpec]
  ) {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    let name = parts[0] == "h" ? "help" : String(parts[0])
    let inline = parts.count > 1 ? String(parts[1]) : nil
    guard let spec = specs.first(where: { $0.long == name }) else {
      let nearest = Spelling.nearest(to: name, among: specs.map(\.long))
      complaints.append(
        Complaint(
          cause: "\(ValueProblem.shown("-\(name)")) is not a flag of `qtun punch`",
          fix: nearest.map { "did you mean -\($0)?" } ?? "`qtun help punch` lists them"))
      return
    }
    if spec.placeholder == nil {
      let value = inline ?? "true"
      if Self.isTrue(value) == nil {
        complaints.append(
          Complaint(
            cause: "-\(name) is on or off, but \(ValueProblem.shown(value)) was given",
            fix: "write -\(name) or -\(name)=false"))
      }
      given.append((name, value))
    } else if let value = inline ?? rest.popFirst() {
      given.append((name, value))
    } else {
      complaints.append(
        Complaint(
          cause: "-\(name) has no value", fix: "write -\(name) \(spec.placeholder ?? "VALUE")"))
    }
  }

  private mutating func complainSpare(_ word: String) {
    complaints.append(
      Complaint(
        cause: "\(ValueProblem.shown(word)) is no flag and belongs to none",
        fix: "leave it out, or put it into quotes together with the words before it"))
  }

  /// As Go's strconv.ParseBool reads it.
  private static func isTrue(_ text: String) -> Bool? {
    switch text {
    case "1", "t", "T", "true", "TRUE", "True": true
    case "0", "f", "F", "false", "FALSE", "False": false
    default: nil
    }
  }
}
