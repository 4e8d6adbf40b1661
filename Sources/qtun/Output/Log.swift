import Glibc
import QuicTransport

/// The log of a run: filters by level, holds back repetition, formats, and writes to a console.
///
///     log.info("listening", .address("127.0.0.1:3000"))
///
/// Messages are literals; what varies, and above all what strangers send, goes into fields, which
/// are escaped. Callable from any isolation.
final class Log: Sendable {
  /// The least important level that is written.
  let level: LogLevel

  private let format: LogFormat
  private let console: Console
  private let clock: LogClock
  private let start: Duration
  private let rateCap = Lock(RateCap())

  /// Creates a log; elapsed times count from now.
  init(level: LogLevel, format: LogFormat, console: Console, clock: LogClock) {
    self.level = level
    self.format = format
    self.console = console
    self.clock = clock
    start = clock.monotonic()
  }

  /// Whether a line of this level would be written; asked before fields that are costly to make.
  func isEnabled(_ level: LogLevel) -> Bool {
    level <= self.level
  }

  /// The run, or a part of it, cannot go on.
  func error(_ message: StaticString, _ fields: LogField...) { log(.error, message, fields) }

  /// Something is not as it should be; the run goes on.
  func warning(_ message: StaticString, _ fields: LogField...) { log(.warning, message, fields) }

  /// What a user wants to know without asking.
  func info(_ message: StaticString, _ fields: LogField...) { log(.info, message, fields) }

  /// One line per flow or change of state.
  func debug(_ message: StaticString, _ fields: LogField...) { log(.debug, message, fields) }

  /// As much as one line per packet.
  func trace(_ message: StaticString, _ fields: LogField...) { log(.trace, message, fields) }

  /// Reports what was held back and not yet mentioned; `main` calls it before the end.
  func flush() {
    for (message, suppressed) in rateCap.withLock({ $0.takeUnreported() }) {
      let fields = [LogField(.cause, message), LogField(.suppressed, .integer(suppressed))]
      write(LogLine(level: .info, message: "lines held back", fields: fields))
    }
  }
}

// MARK: - Internals

extension Log {
  private func log(_ level: LogLevel, _ message: StaticString, _ fields: [LogField]) {
    guard isEnabled(level) else { return }
    let text = message.description
    let now = clock.monotonic()
    switch rateCap.withLock({ $0.admit(text, level: level, now: now) }) {
    case .holdBack:
      return
    case .pass(let suppressed):
      let extra = suppressed > 0 ? [LogField(.suppressed, .integer(suppressed))] : []
      write(LogLine(level: level, message: text, fields: fields + extra))
    }
  }

  private func write(_ line: LogLine) {
    switch format {
    case .text:
      // Users who read along need no clock; users who search for a cause do.
      let elapsed = level >= .debug ? clock.monotonic() - start : nil
      let colored = console.terminal?.isColored ?? false
      console.printLine(line.text(elapsed: elapsed, colored: colored))
    case .json:
      console.printLine(line.json(at: clock.wall()))
    }
  }
}

/// The form of log lines.
enum LogFormat: String, CaseIterable, Sendable {
  /// For people.
  case text
  /// For machines: one JSON object per line.
  case json
}

/// The clocks that a log reads, as values so that tests can set them.
struct LogClock: Sendable {
  /// Civil time, for machines.
  let wall: @Sendable () -> Timestamp
  /// Time that only goes forward, from any fixed moment.
  let monotonic: @Sendable () -> Duration

  /// The clocks of the system.
  static let system = LogClock(wall: Timestamp.now) {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return .seconds(Int64(time.tv_sec)) + .nanoseconds(Int64(time.tv_nsec))
  }
}
