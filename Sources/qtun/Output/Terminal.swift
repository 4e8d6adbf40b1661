import Glibc

/// What matters about the terminal at a descriptor.
struct Terminal: Sendable {
  /// Whether colors are wanted.
  let isColored: Bool
  /// The width now; asked before each redraw, since windows change.
  let columns: @Sendable () -> Int

  /// Creates a terminal of a fixed kind.
  init(isColored: Bool, columns: @escaping @Sendable () -> Int) {
    self.isColored = isColored
    self.columns = columns
  }

  /// The terminal at a descriptor; nil for a file, a pipe, or one that cannot redraw a line.
  init?(descriptor: Int32, environment: Environment) {
    guard isatty(descriptor) == 1 else { return nil }
    let kind = environment["TERM"] ?? ""
    guard !kind.isEmpty, kind != "dumb" else { return nil }
    self.init(isColored: environment["NO_COLOR"] == nil) {
      var size = winsize()
      guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
      return Int(size.ws_col)
    }
  }
}
