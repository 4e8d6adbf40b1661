/// How much a log line matters; a level includes all levels above it.
enum LogLevel: Int, CaseIterable, Comparable, Sendable {
  /// The run, or a part of it, cannot go on.
  case error
  /// Something is not as it should be; the run goes on.
  case warning
  /// What a user wants to know without asking.
  case info
  /// One line per flow or change of state.
  case debug
  /// As much as one line per packet.
  case trace

  /// The word in front of a log line.
  var name: String {
    switch self {
    case .error: "error"
    case .warning: "warning"
    case .info: "info"
    case .debug: "debug"
    case .trace: "trace"
    }
  }

  /// How many equal lines are let through in each `RateCap.window`.
  ///
  /// Low where users read along, high where they asked for detail; never unbounded, since a
  /// stranger can cause lines.
  var burstMax: Int {
    switch self {
    case .error, .warning, .info: 10
    case .debug: 500
    case .trace: 20_000
    }
  }

  static func < (left: LogLevel, right: LogLevel) -> Bool {
    left.rawValue < right.rawValue
  }
}
