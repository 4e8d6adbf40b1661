internal import Glibc
internal import QuicTransport
internal import Tunnel

/// Tickets that have a name: files of one line, which only their owner can read.
struct PeerBook: Sendable {
  /// The folder, such as `~/.config/qtun/peers`.
  let folder: String

  /// The ticket of that name.
  func ticket(named name: String) throws(Failure) -> Ticket {
    let path = path(of: name)
    let line: String
    do throws(SecretLineError) {
      line = try SecretLine.read(path: path)
    } catch {
      switch error {
      case .unreadable(ENOENT):
        throw Failure(
          .configuration, "there is no ticket of the name \(name)",
          fix: "save it with `qtun ticket save \(name) TICKET`: a name by itself does not tell who "
            + "may answer to it")
      case .exposed(let mode):
        throw Failure(
          .configuration, "others can read \(path) (mode 0\(String(mode, radix: 8)))",
          fix: "chmod 600 \(path), and ask for a fresh ticket if others may have read it")
      default: throw Failure(error, path: path)
      }
    }
    do throws(TicketError) {
      return try Ticket(line)
    } catch {
      let failure = Failure(error)
      throw Failure(failure.exitCode, "\(path): \(failure.cause)", fix: failure.fix)
    }
  }

  /// Keeps a ticket, in place of one that has the name.
  func save(_ ticket: Ticket, as name: String) throws(Failure) {
    let path = path(of: name)
    do throws(AccessFileError) {
      try PrivateFile.write(path, bytes: Array("\(ticket.text)\n".utf8))
    } catch {
      var reason = "\(error)"
      if case .unwritable(let code) = error { reason = Failure.systemMessage(code) }
      throw Failure(
        .configuration, "cannot write \(path): \(reason)",
        fix: "check the permissions of the folders above it")
    }
  }

  /// The parser has seen to it that a name is nothing but a name.
  func path(of name: String) -> String { "\(folder)/\(name)" }
}

extension PeerBook {
  /// `qtun ticket save`
  static func run(
    name: String, ticket source: TicketSource, folder: String, _ global: GlobalSettings,
    console: Console
  ) throws(Failure) {
    let book = PeerBook(folder: folder)
    try book.save(try ConnectCommand.readTicket(source), as: name)
    if !global.isQuiet, global.logFormat == .text {
      let path = TerminalText.escaped(book.path(of: name))
      console.printLine("saved in \(path); `qtun to \(name)` uses it")
    }
    guard global.isJSON else { return }
    var writer = JSONWriter()
    writer.object { result in
      result.member("event", "saved")
      result.member("name", name)
      result.member("file", book.path(of: name))
    }
    try StandardOutput.writeLine(writer.text)
  }
}
