internal import CQrencode

/// A QR code (ISO/IEC 18004) as a terminal can show it: two modules in each character, light ones drawn,
/// so that it is the right way round on a dark background and, with colors, on every one.
struct QRCode: Equatable {
  /// Modules of one side, without the margin.
  let width: Int
  /// Row by row; true for dark.
  private let modules: [Bool]

  /// The code of a text; nil where it is too long for any.
  init?(_ text: String) {
    let bytes = Array(text.utf8)
    // The level of error correction is the lowest: a screen has no scratches.
    guard let code = QRcode_encodeData(Int32(bytes.count), bytes, 0, QR_ECLEVEL_L) else {
      return nil
    }
    defer { QRcode_free(code) }
    let width = Int(code.pointee.width)
    self.width = width
    // The lowest bit of each byte is the module; the others say what it belongs to.
    modules = (0..<(width * width)).map { code.pointee.data[$0] & 1 == 1 }
  }

  /// The lines to print; nil where the terminal is too narrow.
  func lines(on terminal: Terminal) -> [String]? {
    let full = width + 2 * Self.margin
    guard full <= terminal.columns() else { return nil }
    let (start, end) = terminal.isColored ? ("\u{1B}[97;40m", "\u{1B}[0m") : ("", "")
    return stride(from: -Self.margin, to: width + Self.margin, by: 2).map { row in
      let line = (-Self.margin..<(width + Self.margin)).map { column in
        switch (isDark(row, column), isDark(row + 1, column)) {
        case (false, false): "█"
        case (false, true): "▀"
        case (true, false): "▄"
        case (true, true): " "
        }
      }
      return start + line.joined() + end
    }
  }

  /// Whether a module is dark; those around the code are light.
  func isDark(_ row: Int, _ column: Int) -> Bool {
    guard (0..<width).contains(row), (0..<width).contains(column) else { return false }
    return modules[row * width + column]
  }

  /// Light modules around it. The standard wants four; readers make do with two, and a terminal is small.
  private static let margin = 2
}
