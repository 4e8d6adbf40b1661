/// Everything that is wrong with one command line, reported together.
struct UsageError: Error, Equatable, Sendable {
  /// What is wrong, in the order of the words; never empty.
  let complaints: [Complaint]
  /// The command that the line was for, if it could be told.
  let command: String?
  /// Whether the user asked for JSON, as far as that could be told.
  let wantsJSON: Bool

  /// A longer list helps nobody.
  static let complaintsShownMax = 12

  /// The lines for people, without the last newline.
  var text: String {
    var lines = ["qtun: \(Format.count(UInt64(complaints.count), "problem")) on the command line"]
    for complaint in complaints.prefix(Self.complaintsShownMax) {
      lines.append("  \(TerminalText.escaped(complaint.cause))")
      lines.append("    fix: \(TerminalText.escaped(complaint.fix))")
    }
    if complaints.count > Self.complaintsShownMax {
      lines.append("  and \(complaints.count - Self.complaintsShownMax) more")
    }
    if let spec = Grammar.command(named: command) {
      lines.append("usage: \(spec.synopsis)")
      lines.append("`qtun help \(spec.name)` explains every option")
    } else {
      lines.append("`qtun help` lists the commands")
    }
    return lines.joined(separator: "\n")
  }

  /// The same as one JSON object on one line.
  var json: String {
    var writer = JSONWriter()
    writer.object { error in
      error.member("event", "error")
      error.member("exit_code", Int64(ExitCode.usage.rawValue))
      error.member("exit_name", ExitCode.usage.name)
      error.member("command", command)
      error.array("problems") { problems in
        for complaint in complaints {
          problems.object { problem in
            problem.member("message", complaint.cause)
            problem.member("fix", complaint.fix)
          }
        }
      }
    }
    return writer.text
  }
}
