import Glibc
import Testing

@testable import qtun

@Suite("Terminal")
struct TerminalTests {
  /// Runs the body with the terminal end of a new pseudo-terminal.
  private func withPseudoTerminal(_ body: (Int32) throws -> Void) throws {
    // Glibc's module map leaves out posix_openpt(3) and its kin; these are what they are made of.
    let unlock: UInt = 0x4004_5431  // TIOCSPTLCK
    let getNumber: UInt = 0x8004_5430  // TIOCGPTN
    let controller = open("/dev/ptmx", O_RDWR | O_NOCTTY)
    try #require(controller >= 0)
    defer { close(controller) }
    var isLocked: Int32 = 0
    var number: UInt32 = 0
    try #require(ioctl(controller, unlock, &isLocked) == 0)
    try #require(ioctl(controller, getNumber, &number) == 0)
    let terminal = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY)
    try #require(terminal >= 0)
    defer { close(terminal) }
    try body(terminal)
  }

  @Test("a pipe is no terminal")
  func noTerminal() throws {
    let pipe = try Pipe()
    #expect(Terminal(descriptor: pipe.writeEnd, environment: Environment(["TERM": "xterm"])) == nil)
  }

  @Test("the width follows the window, and is 80 where none is known")
  func width() throws {
    try withPseudoTerminal { descriptor in
      let environment = Environment(["TERM": "xterm"])
      let terminal = try #require(Terminal(descriptor: descriptor, environment: environment))
      #expect(terminal.isColored)
      #expect(terminal.columns() == 80)
      var size = winsize(ws_row: 24, ws_col: 132, ws_xpixel: 0, ws_ypixel: 0)
      try #require(ioctl(descriptor, UInt(TIOCSWINSZ), &size) == 0)
      #expect(terminal.columns() == 132)
    }
  }

  @Test("NO_COLOR takes the colors, a dumb terminal everything")
  func environment() throws {
    try withPseudoTerminal { descriptor in
      let plain = Environment(["TERM": "xterm", "NO_COLOR": "1"])
      #expect(Terminal(descriptor: descriptor, environment: plain)?.isColored == false)
      for variables in [["TERM": "dumb"], [:]] {
        #expect(Terminal(descriptor: descriptor, environment: Environment(variables)) == nil)
      }
    }
  }
}
