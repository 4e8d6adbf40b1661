/// One command of `qtun`: what it takes, and what its help page says.
struct CommandSpec: Sendable {
  /// Its name, the first word.
  let name: String
  /// One clause for the list of commands.
  let summary: String
  /// Paragraphs for its help page.
  let description: [String]
  /// Its words, in order.
  let arguments: [ArgumentSpec]
  /// Its own options; the global ones come on top.
  let options: [OptionSpec]
  /// Command lines to learn from, each with what it does; a test parses them all.
  let examples: [(line: String, meaning: String)]
  /// Whether it takes the options of every command.
  var takesGlobalOptions = true

  /// The command with its arguments on one line, such as `qtun share SERVICE... [options]`.
  var synopsis: String {
    var words = ["qtun", name]
    words += arguments.map { argument in
      let name = argument.isRepeatable ? "\(argument.name)..." : argument.name
      return argument.isOptional ? "[\(name)]" : name
    }
    if !options.isEmpty { words.append("[options]") }
    return words.joined(separator: " ")
  }

  /// The options that belong to it, the global ones last.
  var allOptions: [OptionSpec] {
    takesGlobalOptions ? options + Grammar.globalOptions : options
  }
}
