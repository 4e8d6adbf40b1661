/// One thing that is wrong with a command line.
struct Complaint: Equatable, Sendable {
  /// What is wrong and why: one clause, no full stop.
  let cause: String
  /// What to write instead.
  let fix: String
}

/// Why a value cannot be used, thrown by parsers of values, which do not know the option's name.
struct ValueProblem: Error, Equatable, Sendable {
  /// What is wrong, beginning with the value in quotes.
  let cause: String
  /// What to write instead.
  let fix: String

  /// Creates a problem with a value, quoted and cut so that it cannot flood the screen.
  init(_ value: String, _ cause: String, fix: String) {
    self.cause = "\(Self.shown(value)) \(cause)"
    self.fix = fix
  }

  /// A word of the user's in quotes, safe to print and of bounded length.
  static func shown(_ value: String) -> String {
    TerminalText.quoted(TerminalText.truncated(value, bytes: 80))
  }
}
