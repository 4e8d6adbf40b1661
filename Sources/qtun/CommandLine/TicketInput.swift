import Glibc

/// Reads a ticket from standard input, for `qtun connect -`.
enum TicketInput {
  /// Far above any ticket; what is longer is something else.
  static let bytesMax = 8192

  /// Reads the first line that is not blank, and no further than it has to.
  static func readLine(from descriptor: Int32 = STDIN_FILENO) throws(Failure) -> String {
    var line: [UInt8] = []
    var byte: UInt8 = 0
    while line.count <= bytesMax {
      let count = read(descriptor, &byte, 1)
      if count < 0, errno == EINTR { continue }
      if count < 0, errno == EAGAIN {
        // A terminal may have been left non-blocking by another program.
        var ready = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        _ = poll(&ready, 1, -1)
        continue
      }
      guard count >= 0 else {
        throw Failure(
          .configuration,
          "cannot read the ticket from standard input: \(Failure.systemMessage(errno))",
          fix: "pipe the line that `qtun share` printed into this command")
      }
      let isBlank = byte == 0x20 || (0x09...0x0D).contains(byte)
      if count == 0 || byte == UInt8(ascii: "\n") {
        while let last = line.last, last == 0x20 || (0x09...0x0D).contains(last) {
          line.removeLast()
        }
        if !line.isEmpty { return String(decoding: line, as: UTF8.self) }
        guard count > 0 else { break }
      } else if !(line.isEmpty && isBlank) {
        line.append(byte)
      }
    }
    throw Failure(
      .configuration,
      line.isEmpty
        ? "there is no ticket on standard input" : "the first line on standard input is too long",
      fix: "pipe the line that `qtun share` printed into this command")
  }
}
