internal import Glibc

/// The program that `qtun punch` becomes when the hole is open: same process, same environment.
struct PunchProgram: Sendable {
  /// Holds the number of the open socket with -handover.
  static let descriptorVariable = "QTUN_PUNCH_FD"

  private let name: String
  private let arguments: [Argument]

  private enum Argument: Sendable {
    case one(PunchTemplate)
    case fields(PunchTemplate)
    case raw(String)
  }

  /// Reads the arguments' templates.
  init(name: String, arguments: [PunchSettings.Argument]) throws(PunchError) {
    self.name = name
    self.arguments = try arguments.map { argument throws(PunchError) in
      switch argument {
      case .template(let text): .one(try PunchCommand.template(text, flag: "-arg"))
      case .fields(let text): .fields(try PunchCommand.template(text, flag: "-fields"))
      case .raw(let text): .raw(text)
      }
    }
  }

  /// The arguments, without the program's name.
  func words(_ value: (PunchTemplate.Field) -> String) -> [String] {
    arguments.flatMap { argument in
      switch argument {
      case .one(let template): [template.render(value)]
      case .fields(let template):
        template.render(value).split(whereSeparator: \.isWhitespace).map(String.init)
      case .raw(let text): [text]
      }
    }
  }

  /// Replaces this process; returns only by throwing.
  func become(_ result: PunchResult) throws(PunchError) {
    // An ignored signal would stay ignored in the program; handlers go by themselves.
    _ = signal(SIGPIPE, SIG_DFL)
    var words = ([name] + words(result.text)).map { strdup($0) }
    words.append(nil)
    execvp(name, words)
    let problem = Failure.systemMessage(errno)
    for word in words { free(word) }
    throw PunchError("-command: cannot run \(name): \(problem)")
  }
}
