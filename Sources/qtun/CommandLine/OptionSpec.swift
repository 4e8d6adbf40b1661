/// What the parser and the help pages need to know about an option, whatever its type.
struct OptionSpec: Sendable {
  /// The long name without hyphens.
  let long: String
  /// The letter of the short form.
  let short: Character?
  /// The word that stands for the value on help pages; nil for a flag.
  let placeholder: String?
  /// Whether it may stand without its value. Then the next word is its value only behind a word of the
  /// command that is none: `share 3000 --public 8080`, but `share --public 3000`.
  var isValueOptional = false
  /// Whether it may be given more than once.
  let isRepeatable: Bool
  /// One sentence for the help page: what it does.
  let help: String
  /// What holds where it is not given, for the help page.
  let defaultText: String?
  /// The environment variable that stands in for it.
  let environment: String?
  /// Whether a word is a value of it.
  let check: @Sendable (String) throws(ValueProblem) -> Void

  /// The names as a help page shows them, such as `-l, --listen [ADDR:]PORT`.
  var signature: String {
    let names = short.map { "-\($0), --\(long)" } ?? "    --\(long)"
    return placeholder.map { "\(names) \($0)" } ?? names
  }
}

/// An option together with the type of its value.
struct Option<Value: Sendable>: Sendable {
  /// Everything but the type.
  let spec: OptionSpec
  /// Reads the value.
  let parser: ValueParser<Value>

  /// Creates an option with a value.
  init(
    _ long: String, short: Character? = nil, _ placeholder: String, _ parser: ValueParser<Value>,
    isRepeatable: Bool = false, isValueOptional: Bool = false, default defaultText: String? = nil,
    environment: String? = nil, help: String
  ) {
    self.parser = parser
    spec = OptionSpec(
      long: long, short: short, placeholder: placeholder, isValueOptional: isValueOptional,
      isRepeatable: isRepeatable, help: help,
      defaultText: defaultText, environment: environment,
      check: { (text) throws(ValueProblem) in _ = try parser.parse(text) })
  }
}

/// An option without a value; what counts is how often it was given.
struct Flag: Sendable {
  /// Its description.
  let spec: OptionSpec

  /// Creates a flag.
  init(_ long: String, short: Character? = nil, help: String) {
    spec = OptionSpec(
      long: long, short: short, placeholder: nil, isRepeatable: true, help: help,
      defaultText: nil, environment: nil, check: { (_) throws(ValueProblem) in })
  }
}

/// A word of a command that has its meaning by its place.
struct ArgumentSpec: Sendable {
  /// How a help page writes it, such as `[HOST:]PORT`.
  let name: String
  /// Whether it may be left out.
  let isOptional: Bool
  /// Whether more words of its kind may follow; only the last one of a command can.
  let isRepeatable: Bool
  /// One sentence for the help page.
  let help: String
  /// Whether a word can be it.
  let check: @Sendable (String) throws(ValueProblem) -> Void
}

/// An argument together with the type of its value.
struct Argument<Value: Sendable>: Sendable {
  /// Everything but the type.
  let spec: ArgumentSpec
  /// Reads the value.
  let parser: ValueParser<Value>

  /// Creates an argument.
  init(
    _ name: String, _ parser: ValueParser<Value>, isOptional: Bool = false,
    isRepeatable: Bool = false, help: String
  ) {
    self.parser = parser
    spec = ArgumentSpec(
      name: name, isOptional: isOptional, isRepeatable: isRepeatable, help: help,
      check: { (text) throws(ValueProblem) in _ = try parser.parse(text) })
  }
}
