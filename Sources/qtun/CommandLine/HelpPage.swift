/// A page of help; those of commands are made from the grammar, so that they cannot go stale.
enum HelpPage: Equatable, Sendable {
  /// What `qtun help` prints.
  case overview
  /// The page of a command.
  case command(String)
  /// The page of a topic.
  case topic(HelpTopic)

  /// The width of a page: what every terminal shows.
  static let columns = 80

  /// Finds a page by the word behind `qtun help`.
  init?(named name: String) {
    if Grammar.command(named: name) != nil {
      self = .command(name)
    } else if name == "ticket" {
      self = .topic(.tickets)
    } else if let topic = HelpTopic(rawValue: name) {
      self = .topic(topic)
    } else {
      return nil
    }
  }

  /// Every word that `init(named:)` knows.
  static var names: [String] {
    Grammar.commands.map(\.name) + HelpTopic.allCases.map(\.rawValue)
  }

  /// What `qtun` alone prints on standard error.
  static var shortUsage: String {
    let usages = ["share", "connect"].compactMap(Grammar.command).map { "  \($0.synopsis)" }
    return (["usage:"] + usages + ["`qtun help` lists all commands"]).joined(separator: "\n")
  }

  /// The page, without the last newline.
  var text: String {
    switch self {
    case .overview: Self.overviewText
    case .command(let name): Grammar.command(named: name).map(Self.page) ?? Self.overviewText
    case .topic(let topic): topic.text
    }
  }

  /// The page as one JSON object on one line.
  var json: String {
    var writer = JSONWriter()
    writer.object { page in
      page.member("topic", name)
      page.member("text", text)
    }
    return writer.text
  }

  private var name: String {
    switch self {
    case .overview: "overview"
    case .command(let name): name
    case .topic(let topic): topic.rawValue
    }
  }
}

// MARK: - Layout

extension HelpPage {
  private static var overviewText: String {
    var sections = ["qtun connects two programs through an encrypted QUIC tunnel."]
    let commands = Grammar.commands.map { ($0.name, $0.summary) }
    sections.append("Commands:\n" + table(commands))
    sections.append("Options of every command:\n" + table(rows(Grammar.globalOptions)))
    let topics = HelpTopic.allCases.map { ($0.rawValue, $0.summary) }
    sections.append("Topics (qtun help TOPIC):\n" + table(topics))
    sections.append("First steps:\n  qtun share 3000\nand paste the line that it shows elsewhere.")
    return sections.joined(separator: "\n\n")
  }

  private static func page(_ command: CommandSpec) -> String {
    var sections = ["usage: \(command.synopsis)"]
    sections += command.description.map { wrap($0, indent: 0).joined(separator: "\n") }
    if !command.arguments.isEmpty {
      sections.append("Arguments:\n" + table(command.arguments.map { ($0.name, $0.help) }))
    }
    if !command.options.isEmpty {
      sections.append("Options:\n" + table(rows(command.options)))
    }
    if command.takesGlobalOptions {
      sections.append("Options of every command:\n" + table(rows(Grammar.globalOptions)))
    }
    sections.append("Examples:\n" + table(command.examples.map { ($0.line, $0.meaning) }))
    return sections.joined(separator: "\n\n")
  }

  private static func rows(_ options: [OptionSpec]) -> [(String, String)] {
    options.map { option in
      var help = option.help
      if let text = option.defaultText { help += " (default: \(text))" }
      if let name = option.environment { help += " [\(name)]" }
      return (option.signature, help)
    }
  }

  /// Two columns; a left side that is too wide gets a line of its own.
  static func table(_ rows: [(left: String, right: String)]) -> String {
    let widthMax = 28
    let width = rows.map(\.left.count).filter { $0 <= widthMax }.max() ?? widthMax
    let indent = width + 4
    return rows.flatMap { left, right in
      var lines = wrap(right, indent: indent)
      if left.count <= width, let first = lines.first {
        let gap = String(repeating: " ", count: width - left.count)
        lines[0] = "  \(left)\(gap)\(first.dropFirst(indent - 2))"
      } else {
        lines.insert("  \(left)", at: 0)
      }
      return lines
    }.joined(separator: "\n")
  }

  /// Breaks a paragraph between words into lines of at most `columns`.
  static func wrap(_ text: String, indent: Int) -> [String] {
    let margin = String(repeating: " ", count: indent)
    var lines: [String] = []
    for word in text.split(separator: " ") {
      if let last = lines.last, last.count + 1 + word.count <= columns {
        lines[lines.count - 1] += " \(word)"
      } else {
        lines.append(margin + word)
      }
    }
    return lines
  }
}
