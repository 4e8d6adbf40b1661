/// One log line before it is written: a value, so that both of its forms can be tested.
struct LogLine: Sendable {
  /// How much it matters.
  let level: LogLevel
  /// What happened: a literal of the program, lower-case, no full stop.
  let message: String
  /// The particulars.
  let fields: [LogField]

  /// The longest line in bytes, with its newline.
  ///
  /// Linux takes a write of up to 4096 bytes to a pipe whole, never mixed with other writers'.
  static let bytesMax = 4096

  /// The form for people: `info  listening  address=127.0.0.1:3000`.
  ///
  /// `elapsed` is the time since the start of the run; it stands in front where it is given.
  func text(elapsed: Duration?, colored: Bool) -> String {
    var line = ""
    if let elapsed {
      line += "\(Format.fixed(Format.seconds(elapsed), decimals: 3))s  "
    }
    line += colored ? "\(color)\(level.name)\u{1B}[0m" : level.name
    line += "  \(TerminalText.escaped(message))"
    if !fields.isEmpty { line += " " }
    for field in fields {
      let value = TerminalText.quotedIfNeeded(field.value.text)
      let text = " \(field.key.rawValue)=\(value)"
      guard line.utf8.count + text.utf8.count < Self.bytesMax - Self.truncationBytes else {
        return line + " \(LogKey.truncated.rawValue)=yes"
      }
      line += text
    }
    return line
  }

  /// The form for machines: one JSON object.
  func json(at time: Timestamp) -> String {
    var kept = fields[...]
    while true {
      var writer = JSONWriter()
      writer.object { line in
        line.member("ts", time.rfc3339)
        line.member("level", level.name)
        line.member("message", message)
        line.object("fields") { members in
          for field in kept { field.write(to: &members) }
          if kept.count < fields.count {
            LogField(.truncated, .flag(true)).write(to: &members)
          }
        }
      }
      if writer.text.utf8.count < Self.bytesMax || kept.isEmpty { return writer.text }
      kept.removeLast()
    }
  }

  /// Room for the note that fields were left out.
  private static let truncationBytes = 32

  private var color: String {
    switch level {
    case .error: "\u{1B}[31m"
    case .warning: "\u{1B}[33m"
    case .info: "\u{1B}[32m"
    case .debug, .trace: "\u{1B}[2m"
    }
  }
}
