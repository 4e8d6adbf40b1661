import Glibc

/// Standard error, one line at a time.
enum Console {
  /// Writes one line, whole or not at all: nothing depends on it.
  static func say(_ text: String) {
    var line = "qtun-interop: \(text)\n"
    line.withUTF8 { bytes in
      _ = write(STDERR_FILENO, bytes.baseAddress, bytes.count)
    }
  }
}
