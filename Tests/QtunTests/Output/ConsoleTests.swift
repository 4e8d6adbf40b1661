import Glibc
import Testing

@testable import qtun

@Suite("Console")
struct ConsoleTests {
  private func terminal(columns: Int) -> Terminal {
    Terminal(isColored: false) { columns }
  }

  @Test("lines are written whole, and a status needs a terminal")
  func plain() throws {
    let pipe = try Pipe()
    let console = Console(descriptor: pipe.writeEnd, terminal: nil)
    console.setStatus("connected")
    console.printLine("one")
    console.printLine("two")
    #expect(pipe.readAvailable() == "one\ntwo\n")
  }

  @Test("the status is redrawn in place, cut to the width and kept below the lines")
  func status() throws {
    let pipe = try Pipe()
    let console = Console(descriptor: pipe.writeEnd, terminal: terminal(columns: 10))
    console.setStatus("0123456789")
    #expect(pipe.readAvailable() == "\r01234567…\u{1B}[K")
    console.printLine("line")
    #expect(pipe.readAvailable() == "\r\u{1B}[Kline\n01234567…")
    console.setStatus("")
    #expect(pipe.readAvailable() == "\r\u{1B}[K")
    console.setStatus("")
    console.printLine("line")
    #expect(pipe.readAvailable() == "line\n")
  }

  @Test("a status cannot carry escape sequences")
  func statusInjection() throws {
    let pipe = try Pipe()
    let console = Console(descriptor: pipe.writeEnd, terminal: terminal(columns: 80))
    console.setStatus("\u{1B}[2J")
    #expect(pipe.readAvailable() == "\r\\u{1b}[2J\u{1B}[K")
  }

  @Test("a reader who stalls loses lines, holds up nothing, and is told", .timeLimit(.minutes(1)))
  func stalled() throws {
    let pipe = try Pipe()
    let console = Console(descriptor: pipe.writeEnd, terminal: nil)
    let filling = pipe.fill()
    for number in 0..<1000 { console.printLine("lost \(number)") }
    #expect(pipe.readAvailable().utf8.count == filling)
    console.printLine("back")
    #expect(pipe.readAvailable() == "qtun: 1000 log lines lost: standard error stalled\nback\n")
  }

  @Test("a reader who went away ends nothing")
  func closed() throws {
    SignalPipe.ignoreBrokenPipes()
    var ends: [Int32] = [-1, -1]
    try #require(pipe(&ends) == 0)
    close(ends[0])
    let console = Console(descriptor: ends[1], terminal: nil)
    console.printLine("nobody reads this")
    close(ends[1])
    Console(descriptor: -1, terminal: nil).printLine("nor this")
  }
}
