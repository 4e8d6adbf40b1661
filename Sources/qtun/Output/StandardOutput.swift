import Glibc

/// Standard output: results only, so that scripts can use them.
///
/// Unlike the log, a result that cannot be written ends the run: a share whose ticket nobody
/// received serves nobody.
enum StandardOutput {
  /// Writes one line unless its reader has left: one that has seen enough, as in `| head -1`, is
  /// no failure. Not for what somebody has to receive, such as a ticket.
  static func tell(_ text: String) throws(Failure) {
    try tell(text, to: STDOUT_FILENO)
  }

  /// The same for any blocking descriptor.
  static func tell(_ text: String, to descriptor: Int32) throws(Failure) {
    let result = write(Array((text + "\n").utf8), to: descriptor)
    if result != 0, result != EPIPE { throw failure(result) }
  }

  /// Writes one line and its newline, whole.
  static func writeLine(_ text: String) throws(Failure) {
    try writeLine(text, to: STDOUT_FILENO)
  }

  /// Writes one line to any blocking descriptor.
  static func writeLine(_ text: String, to descriptor: Int32) throws(Failure) {
    let result = write(Array((text + "\n").utf8), to: descriptor)
    if result != 0 { throw failure(result) }
  }

  /// Writes one line of at most `LogLine.bytesMax` bytes, whole, if that needs no waiting; false where
  /// it would. For lines that may be many, and of which one may be missing.
  static func offerLine(_ text: String, to descriptor: Int32 = STDOUT_FILENO) -> Bool {
    var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    guard poll(&ready, 1, 0) == 1, ready.revents & Int16(POLLOUT) != 0 else { return false }
    // A pipe that polls writable takes that much whole (pipe(7)).
    return write(Array((text + "\n").utf8), to: descriptor) == 0
  }

  /// Writes text to standard output as it is, whole.
  static func write(_ text: String) throws(Failure) {
    let result = write(Array(text.utf8), to: STDOUT_FILENO)
    if result != 0 { throw failure(result) }
  }

  private static func failure(_ code: Int32) -> Failure {
    Failure(
      .internalError, "cannot write to standard output: \(Failure.systemMessage(code))",
      fix: "check where standard output goes: a closed pipe or a full disk takes nothing")
  }

  /// Writes everything; 0, or the `errno` that it failed with.
  private static func write(_ bytes: [UInt8], to descriptor: Int32) -> Int32 {
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
      guard written > 0 else { return written == 0 ? EIO : errno }
      offset += written
    }
    return 0
  }
}
