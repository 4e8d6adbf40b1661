import Glibc
import Testing

@testable import qtun

@Suite("StandardOutput")
struct StandardOutputTests {
  @Test("a line is written with its newline")
  func line() throws {
    let pipe = try Pipe()
    try StandardOutput.writeLine("qtun1x", to: pipe.writeEnd)
    #expect(pipe.readAvailable() == "qtun1x\n")
  }

  @Test("a reader that left is a failure for what it has to receive, and none for the rest")
  func readerLeft() throws {
    SignalPipe.ignoreBrokenPipes()
    var ends: [Int32] = [0, 0]
    try #require(Glibc.pipe(&ends) == 0)
    close(ends[0])
    defer { close(ends[1]) }
    try StandardOutput.tell("x", to: ends[1])
    let failure = #expect(throws: Failure.self) { try StandardOutput.writeLine("x", to: ends[1]) }
    #expect(failure?.cause == "cannot write to standard output: Broken pipe")
  }

  @Test("a full disk is a failure with its cause")
  func fullDisk() throws {
    let full = open("/dev/full", O_WRONLY)
    try #require(full >= 0)
    defer { close(full) }
    #expect(throws: Failure.self) { try StandardOutput.tell("x", to: full) }
    let failure = #expect(throws: Failure.self) { try StandardOutput.writeLine("x", to: full) }
    #expect(failure?.exitCode == .internalError)
    #expect(failure?.cause == "cannot write to standard output: No space left on device")
  }
}
