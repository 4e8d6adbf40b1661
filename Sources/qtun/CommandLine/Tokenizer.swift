/// Splits a command line into options and plain words, by POSIX and GNU habits.
///
/// It knows every option of every command, so that options may stand before the command. What it
/// cannot understand becomes a complaint, and the rest is read on.
struct Tokenizer {
  /// The options in the order given, known ones only.
  private(set) var options: [(spec: OptionSpec, value: String?)] = []
  /// The other words in the order given.
  private(set) var words: [Word] = []
  /// What could not be understood.
  private(set) var complaints: [Complaint] = []

  private let specs: [OptionSpec]
  private var rest: ArraySlice<String>

  /// Reads a whole command line, without the program's name.
  init(_ arguments: [String], specs: [OptionSpec]) {
    self.specs = specs
    rest = arguments[...]
    while let argument = rest.popFirst() {
      if argument == "--" {
        words += rest.map { Word(text: $0, isDoubtful: false) }
        rest = []
      } else if argument.hasPrefix("--") {
        readLong(argument.dropFirst(2))
      } else if argument.hasPrefix("-"), argument.utf8.count > 1 {
        readShorts(argument.dropFirst())
      } else {
        words.append(Word(text: argument, isDoubtful: false))
      }
    }
  }

  /// A word that is not an option.
  struct Word {
    /// As it was written.
    let text: String
    /// Whether it follows an unknown option and so may have been meant as its value.
    let isDoubtful: Bool
  }
}

// MARK: - Internals

extension Tokenizer {
  private mutating func readLong(_ text: Substring) {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    let name = String(parts[0])
    let value = parts.count > 1 ? String(parts[1]) : nil
    guard let spec = specs.first(where: { $0.long == name }) else {
      complainUnknown("--\(name)", nearest: nearest(to: name), hasValue: value != nil)
      return
    }
    if spec.placeholder == nil, let value {
      complaints.append(
        Complaint(
          cause: "--\(name) takes no value, but \(ValueProblem.shown(value)) was given",
          fix: "write --\(name) alone"))
    }
    append(spec, inlineValue: spec.placeholder == nil ? nil : value)
  }

  private mutating func readShorts(_ letters: Substring) {
    var letters = letters
    while let letter = letters.popFirst() {
      guard let spec = specs.first(where: { $0.short == letter }) else {
        complainUnknownShort(letter, followedBy: letters)
        return
      }
      guard spec.placeholder != nil else {
        append(spec, inlineValue: nil)
        continue
      }
      // What follows the letter of an option with a value is the value: `-l4433`, `-l=4433`.
      let value = letters.hasPrefix("=") ? letters.dropFirst() : letters
      append(spec, inlineValue: letters.isEmpty ? nil : String(value))
      return
    }
  }

  private mutating func append(_ spec: OptionSpec, inlineValue: String?) {
    guard let placeholder = spec.placeholder, inlineValue == nil else {
      options.append((spec, inlineValue))
      return
    }
    if spec.isValueOptional,
      words.count < Self.wordsBeforeValue || rest.first?.hasPrefix("-") != false
    {
      options.append((spec, nil))
      return
    }
    // A value that begins with a hyphen is more often a forgotten one and the next option.
    if let next = rest.first, next == "-" || !next.hasPrefix("-") {
      rest.removeFirst()
      options.append((spec, next))
      return
    }
    var fix = "write --\(spec.long) \(placeholder)"
    if let next = rest.first, next != "--" {
      let safe = ValueProblem.shown(next).dropFirst().dropLast()
      fix += ", or --\(spec.long)=\(safe) if that is the value"
    }
    complaints.append(Complaint(cause: "--\(spec.long) has no value", fix: fix))
  }

  /// The command and what it is about.
  private static let wordsBeforeValue = 2

  private func nearest(to name: String) -> OptionSpec? {
    let nearest = Spelling.nearest(to: name, among: specs.map(\.long))
    return specs.first { $0.long == nearest }
  }

  private mutating func complainUnknown(_ written: String, nearest: OptionSpec?, hasValue: Bool) {
    complaints.append(
      Complaint(
        cause: "\(ValueProblem.shown(written)) is not an option",
        fix: nearest.map { "did you mean --\($0.long)?" } ?? "leave it out"))
    guard !hasValue, let next = rest.first, !next.hasPrefix("-") else { return }
    // The word behind it is its value if the option that was meant takes one, and may be if
    // nobody knows what was meant; without this one slip would be reported twice.
    if nearest?.placeholder != nil {
      rest.removeFirst()
    } else if nearest == nil {
      rest.removeFirst()
      words.append(Word(text: next, isDoubtful: true))
    }
  }

  private mutating func complainUnknownShort(_ letter: Character, followedBy rest: Substring) {
    // `-json` was meant as `--json`.
    let word = String(letter) + rest.prefix { $0 != "=" }
    if word.count > 1, let spec = specs.first(where: { $0.long == word }) {
      complainUnknown("-\(word)", nearest: spec, hasValue: rest.contains("="))
    } else {
      complainUnknown("-\(letter)", nearest: nil, hasValue: !rest.isEmpty)
    }
  }
}
