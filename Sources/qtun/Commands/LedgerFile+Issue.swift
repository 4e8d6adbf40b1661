internal import Glibc
internal import QuicTransport
internal import Tunnel

extension LedgerFile {
  /// The list, empty if there is none yet.
  func read() throws(Failure) -> Ledger {
    do throws(AccessFileError) {
      return try loadOrEmpty()
    } catch {
      throw Failure(AccessProblem(.tickets, path: path, error: error))
    }
  }

  /// Changes the list.
  func change(
    _ body: (inout Ledger) throws(AccessFileError) -> Void
  ) throws(Failure) {
    do throws(AccessFileError) {
      try update(patience: Self.patience, body)
    } catch {
      throw Failure(AccessProblem(.tickets, path: path, error: error))
    }
  }

  /// Limits an unrestricted ticket, and puts it on the list.
  func issue(_ root: Ticket, limits: TicketLimits) throws(Failure) -> (Ticket, Grant) {
    let now = Timestamp.now()
    let created = UInt64(max(0, now.seconds))
    let grant = Grant(
      id: .random(), expiry: limits.expires.map { $0.time(now: now) ?? created } ?? 0,
      uses: limits.uses ?? 0, services: limits.services)
    guard let grant else {
      throw Failure(
        .configuration, "the names of these services do not fit into one ticket",
        fix: "name fewer, or make several tickets")
    }
    try change { ledger throws(AccessFileError) in
      let record = Ledger.TicketRecord(
        grant: grant, label: limits.label ?? "", created: created)
      try ledger.add(record, now: created)
    }
    return (root.restricted(to: grant), grant)
  }

  /// How long a command waits for another process that changes the list.
  private static let patience = Duration.seconds(5)
}

extension Failure {
  /// What is wrong with a file that says who may come in.
  init(_ problem: AccessProblem) {
    let path = problem.path
    let cause = Self.describe(problem)
    switch problem.error {
    case .missing:
      self.init(.configuration, cause, fix: "make it, or name another one")
    case .exposed:
      self.init(
        .configuration, cause,
        fix: problem.content.isWrittenByUs ? "chmod 600 \(path)" : "chmod go-w \(path)")
    case .malformed:
      self.init(
        .configuration, cause,
        fix: Self.repair(problem.content))
    case .unwritable(let code) where code == ENOSPC || code == EDQUOT:
      self.init(.configuration, cause, fix: "make room on the disk; nothing was changed")
    case .unreadable, .unwritable:
      self.init(
        .configuration, cause, fix: "check its owner and the permissions of the folders above it")
    case .busy:
      self.init(.configuration, cause, fix: "wait for the other `qtun`, or end it")
    case .full:
      self.init(
        .configuration, cause,
        fix: problem.content.isWrittenByUs
          ? "revoke those that nobody needs; they make room for others" : "make it shorter")
    }
  }

  private static func repair(_ content: AccessProblem.Content) -> String {
    switch content {
    case .tickets: "repair the line, or remove the file: then every ticket with limits is void"
    case .tokens: "repair the line, or remove the file: then every token is void"
    case .identities:
      "write one identity a line, as `qtun keygen` prints it; comments begin with #"
    case .settings: "write an option and its value in each line"
    }
  }

  /// The same in one clause.
  static func describe(_ problem: AccessProblem) -> String {
    let path = problem.path
    switch problem.error {
    case .missing: return "there is no file \(path)"
    case .exposed(let mode):
      return "others may change \(path) or read what they should not (mode 0"
        + String(mode, radix: 8) + ")"
    case .malformed(0): return "\(path) is no file of text"
    case .malformed(let line): return "line \(line) of \(path) cannot be understood"
    case .unreadable(let code): return "cannot read \(path): \(systemMessage(code))"
    case .unwritable(let code): return "cannot write \(path): \(systemMessage(code))"
    case .busy: return "another process is changing \(path)"
    case .full: return "\(path) is as large as it may become"
    }
  }
}

extension AccessProblem.Content {
  /// Whether it is a list that `qtun` keeps.
  fileprivate var isWrittenByUs: Bool { self == .tickets || self == .tokens }
}
