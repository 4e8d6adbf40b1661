import Testing

@testable import qtun

@Suite("LogLine")
struct LogLineTests {
  private let line = LogLine(
    level: .info, message: "listening",
    fields: [.address("127.0.0.1:3000"), .cause("a b"), .rtt(.microseconds(1250))])

  @Test("people read level, message and key=value")
  func text() {
    #expect(
      line.text(elapsed: nil, colored: false)
        == "info  listening  address=127.0.0.1:3000 cause=\"a b\" rtt=\"1.25 ms\"")
    #expect(
      LogLine(level: .error, message: "ended", fields: []).text(elapsed: nil, colored: false)
        == "error  ended")
  }

  @Test("time and color stand in front where they are wanted")
  func decorated() {
    let line = LogLine(level: .warning, message: "m", fields: [])
    #expect(
      line.text(elapsed: .milliseconds(1234), colored: true)
        == "1.234s  \u{1B}[33mwarning\u{1B}[0m  m")
  }

  @Test("machines read one object with exact numbers")
  func json() {
    let line = LogLine(
      level: .debug, message: "m",
      fields: [
        .bytesSent(UInt64.max), .rtt(.microseconds(1250)), .count(-1), .peer("\u{1B}"),
        LogField(.truncated, .flag(false)),
      ])
    #expect(
      line.json(at: Timestamp(seconds: 0, nanoseconds: 5_000_000))
        == #"{"ts":"1970-01-01T00:00:00.005Z","level":"debug","message":"m","fields":{"#
        + #""bytes_sent":18446744073709551615,"rtt_us":1250,"count":-1,"peer":"\u001b","#
        + #""truncated":false}}"#)
  }

  @Test("escape sequences from strangers are shown, not obeyed")
  func injection() {
    let line = LogLine(
      level: .info, message: "closed", fields: [.cause("\u{1B}]0;x\u{07}\r\ninfo  fake")])
    let text = line.text(elapsed: nil, colored: false)
    #expect(text == #"info  closed  cause="\u{1b}]0;x\u{7}\u{d}\ninfo  fake""#)
  }

  @Test("a line fits into one write to a pipe, whatever the fields are")
  func bounded() {
    let value = String(repeating: "\u{1B}", count: 2000)
    let fields = [LogField](repeating: .cause(value), count: 40)
    let line = LogLine(level: .info, message: "m", fields: fields)
    let text = line.text(elapsed: .seconds(5), colored: true)
    #expect(text.utf8.count < LogLine.bytesMax)
    #expect(text.hasSuffix(" truncated=yes"))
    let json = line.json(at: Timestamp(seconds: 0, nanoseconds: 0))
    #expect(json.utf8.count < LogLine.bytesMax)
    #expect(json.hasSuffix(#","truncated":true}}"#))
  }

  @Test("a time too long for a number becomes null, not a trap")
  func hugeTime() {
    var writer = JSONWriter()
    writer.object { LogField.rtt(.seconds(Int64.max)).write(to: &$0) }
    #expect(writer.text == #"{"rtt_us":null}"#)
  }

  @Test("keys are lower-case words, each used once")
  func keys() {
    for key in LogKey.allCases {
      #expect(key.rawValue.utf8.allSatisfy { (97...122).contains($0) || $0 == 95 })
    }
  }
}
