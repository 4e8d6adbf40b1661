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

  @Test("a full disk is a failure with its cause")
  func fullDisk() throws {
    let full = open("/dev/full", O_WRONLY)
    try #require(full >= 0)
    defer { close(full) }
    let failure = #expect(throws: Failure.self) { try StandardOutput.writeLine("x", to: full) }
    #expect(failure?.exitCode == .internalError)
    #expect(failure?.cause == "cannot write to standard output: No space left on device")
  }
}
