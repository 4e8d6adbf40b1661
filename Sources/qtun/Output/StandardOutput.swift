import Glibc

/// Standard output: results only, so that scripts can use them.
///
/// Unlike the log, a result that cannot be written ends the run: a share whose ticket nobody
/// received serves nobody.
enum StandardOutput {
  /// Writes one line and its newline, whole.
  static func writeLine(_ text: String) throws(Failure) {
    try writeLine(text, to: STDOUT_FILENO)
  }

  /// Writes one line to any blocking descriptor.
  static func writeLine(_ text: String, to descriptor: Int32) throws(Failure) {
    try write(text + "\n", to: descriptor)
  }

  /// Writes text as it is, whole.
  static func write(_ text: String, to descriptor: Int32 = STDOUT_FILENO) throws(Failure) {
    let bytes = Array(text.utf8)
    var offset = 0
    while offset < bytes.count {
      let written = bytes[offset...].withUnsafeBytes {
        Glibc.write(descriptor, $0.baseAddress, $0.count)
      }
      if written < 0, errno == EINTR { continue }
      if written < 0, errno == EAGAIN {
        var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = poll(&ready, 1, -1)
        continue
      }
      guard written > 0 else {
        throw Failure(
          .internalError, "cannot write to standard output: \(Failure.systemMessage(errno))",
          fix: "check where standard output goes: a closed pipe or a full disk takes nothing")
      }
      offset += written
    }
  }
}
