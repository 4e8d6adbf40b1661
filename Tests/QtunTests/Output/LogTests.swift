import Glibc
import Testing

@testable import qtun

@Suite("Log")
struct LogTests {
  private static let clock = LogClock(
    wall: { Timestamp(seconds: 1, nanoseconds: 0) }, monotonic: { .zero })

  private func output(
    _ level: LogLevel, _ format: LogFormat, _ body: (Log) -> Void
  ) throws -> String {
    let pipe = try Pipe()
    let console = Console(descriptor: pipe.writeEnd, terminal: nil)
    body(Log(level: level, format: format, console: console, clock: Self.clock))
    return pipe.readAvailable()
  }

  private func logAll(_ log: Log) {
    log.error("a")
    log.warning("b")
    log.info("c", .flow(7))
    log.debug("d")
    log.trace("e")
  }

  @Test("a level lets through itself and what matters more")
  func levels() throws {
    #expect(try output(.warning, .text, logAll) == "error  a\nwarning  b\n")
    #expect(
      try output(.trace, .text, logAll)
        == "0.000s  error  a\n0.000s  warning  b\n0.000s  info  c  flow=7\n0.000s  debug  d\n"
        + "0.000s  trace  e\n")
  }

  @Test("the JSON form has the time of day")
  func json() throws {
    #expect(
      try output(.info, .json) { $0.info("c", .flow(7)) }
        == #"{"ts":"1970-01-01T00:00:01.000Z","level":"info","message":"c","fields":{"flow":7}}"#
        + "\n")
  }

  @Test("repetition is held back and told at the end")
  func repetition() throws {
    let text = try output(.info, .text) { log in
      for _ in 0..<100 { log.warning("flow refused", .peer("x")) }
      log.flush()
      log.flush()
    }
    let lines = text.split(separator: "\n")
    #expect(lines.count == LogLevel.warning.burstMax + 1)
    #expect(lines.last == "info  lines held back  cause=\"flow refused\" suppressed=90")
  }

  @Test("a quiet log costs no memory of what it did not write")
  func disabled() throws {
    let text = try output(.error, .text) { log in
      #expect(!log.isEnabled(.info))
      for _ in 0..<100 { log.info("nothing") }
      log.flush()
    }
    #expect(text.isEmpty)
  }
}
