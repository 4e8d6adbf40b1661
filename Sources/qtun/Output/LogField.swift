/// A named value of a log line.
struct LogField: Equatable, Sendable {
  /// Which value it is.
  let key: LogKey
  /// The value itself.
  let value: LogValue

  /// Creates a field of any kind of value.
  init(_ key: LogKey, _ value: LogValue) {
    self.key = key
    self.value = value
  }

  /// Creates a field of text, which may come from anywhere: it is escaped on output.
  init(_ key: LogKey, _ text: String) {
    self.init(key, .text(text))
  }

  /// Writes the field as a member of the JSON object that is open.
  func write(to json: inout JSONWriter) {
    switch value {
    case .text(let text): json.member(key.rawValue, LogValue.bounded(text))
    case .integer(let number): json.member(key.rawValue, number)
    case .bytes(let count): json.member(key.rawValue, count)
    case .flag(let flag): json.member(key.rawValue, flag)
    case .time(let time):
      let (seconds, attoseconds) = time.components
      let microseconds = seconds.multipliedReportingOverflow(by: 1_000_000)
      json.member(
        key.rawValue + "_us",
        microseconds.overflow
          ? nil : microseconds.partialValue &+ attoseconds / 1_000_000_000_000)
    }
  }
}

/// A value that knows how people read it and how machines do.
enum LogValue: Equatable, Sendable {
  /// Any text.
  case text(String)
  /// A plain number.
  case integer(Int64)
  /// A number of bytes: with a unit for people, exact for machines.
  case bytes(UInt64)
  /// True or false.
  case flag(Bool)
  /// A span of time: with a unit for people, in microseconds (key suffix `_us`) for machines.
  case time(Duration)

  /// The longest text value in bytes; a line has to fit into one write to a pipe.
  static let textBytesMax = 512

  /// The value for people, without quotes and not escaped.
  var text: String {
    switch self {
    case .text(let text): Self.bounded(text)
    case .integer(let number): String(number)
    case .bytes(let count): Format.bytes(count)
    case .flag(let flag): flag ? "yes" : "no"
    case .time(let time): Format.duration(time)
    }
  }

  /// The text, cut to `textBytesMax`.
  static func bounded(_ text: String) -> String {
    TerminalText.truncated(text, bytes: textBytesMax)
  }
}
