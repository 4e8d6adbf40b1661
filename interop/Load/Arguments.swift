import Glibc

/// A command line taken apart: what is missing, unknown or unreadable is collected, not thrown.
struct Arguments {
  private var positionals: [String] = []
  private var values: [String: String] = [:]
  private var complaints: [String] = []

  /// Every option takes a value, as `--name value`.
  init(_ words: ArraySlice<String>) {
    var rest = words
    while let word = rest.popFirst() {
      if !word.hasPrefix("--") {
        positionals.append(word)
      } else if let value = rest.popFirst() {
        values[word] = value
      } else {
        complaints.append("\(word) needs a value")
      }
    }
  }

  /// A whole number within the bounds; the default when the option is absent.
  mutating func number(_ name: String, default value: Int, in bounds: ClosedRange<Int>) -> Int {
    guard let text = values.removeValue(forKey: name) else { return value }
    guard let number = Int(text), bounds.contains(number) else {
      complaints.append(
        "\(name) \(text): must be from \(bounds.lowerBound) to \(bounds.upperBound)")
      return value
    }
    return number
  }

  /// One of the listed words; the first one when the option is absent.
  mutating func choice(_ name: String, of words: [String]) -> String {
    guard let text = values.removeValue(forKey: name) else { return words[0] }
    if !words.contains(text) {
      complaints.append("\(name) \(text): must be \(words.joined(separator: " or "))")
    }
    return text
  }

  /// A free text.
  mutating func text(_ name: String) -> String? { values.removeValue(forKey: name) }

  /// The address, from `--listen` for the server and from the only positional for clients.
  mutating func address(option name: String? = nil) -> Address? {
    let text: String?
    if let name {
      text = values.removeValue(forKey: name)
    } else {
      text = positionals.isEmpty ? nil : positionals.removeFirst()
    }
    guard let text else {
      complaints.append("missing \(name.map { $0 + " " } ?? "")ADDR:PORT")
      return nil
    }
    guard let address = Address(text) else {
      complaints.append("\(text): not a numeric ADDR:PORT")
      return nil
    }
    return address
  }

  /// Throws all complaints at once; what nobody asked for is one of them.
  func finish() throws(LoadError) {
    let unknown = (positionals + values.keys.sorted()).map { "\($0): unknown here" }
    guard complaints.isEmpty && unknown.isEmpty else { throw .usage(complaints + unknown) }
  }
}
