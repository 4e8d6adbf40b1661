internal import Glibc

/// The file that a ticket is left in for another program, with mode 0600.
struct TicketFile: Sendable {
  private let path: String

  /// Writes the file in one step: whoever finds it finds the whole ticket.
  init(path: String, ticket: String) throws(Failure) {
    self.path = path
    let temporary = "\(path).\(getpid()).new"
    unlink(temporary)
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Self.failure(path) }
    defer { close(descriptor) }
    let line = Array("\(ticket)\n".utf8)
    guard write(descriptor, line, line.count) == line.count, rename(temporary, path) == 0 else {
      let failure = Self.failure(path)
      unlink(temporary)
      throw failure
    }
  }

  /// Removes it: the ticket is worth nothing any more.
  func remove() {
    unlink(path)
  }

  private static func failure(_ path: String) -> Failure {
    Failure(
      .configuration, "cannot write the ticket to \(path): \(Failure.systemMessage(errno))",
      fix: "name another file with --ticket-file")
  }
}
