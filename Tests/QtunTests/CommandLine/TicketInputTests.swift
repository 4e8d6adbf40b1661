import Glibc
import Testing

@testable import qtun

@Suite("TicketInput")
struct TicketInputTests {
  private func read(_ text: String) throws -> String {
    let pipe = try Pipe()
    pipe.write(text)
    pipe.closeWriteEnd()
    return try TicketInput.readLine(from: pipe.readEnd)
  }

  @Test(
    "the first line that is not blank is the ticket",
    arguments: ["qtun1a\n", "qtun1a", "\n\n  qtun1a \r\nmore", "\tqtun1a\n"])
  func firstLine(text: String) throws {
    #expect(try read(text) == "qtun1a")
  }

  @Test("what follows the ticket is left for others to read")
  func leavesTheRest() throws {
    let pipe = try Pipe()
    pipe.write("qtun1a\nrest")
    #expect(try TicketInput.readLine(from: pipe.readEnd) == "qtun1a")
    #expect(pipe.readAvailable() == "rest")
  }

  @Test("nothing to read is a failure of configuration", arguments: ["", "\n", " \n\t\n"])
  func empty(text: String) {
    let failure = #expect(throws: Failure.self) { try read(text) }
    #expect(failure?.exitCode == .configuration)
    #expect(failure?.cause == "there is no ticket on standard input")
  }

  @Test("a line without an end is not read for ever")
  func endless() {
    let failure = #expect(throws: Failure.self) {
      try read(String(repeating: "a", count: TicketInput.bytesMax + 1000))
    }
    #expect(failure?.cause == "the first line on standard input is too long")
  }

  @Test("what cannot be read is a failure, not a trap")
  func closed() {
    #expect(throws: Failure.self) { try TicketInput.readLine(from: -1) }
  }
}
