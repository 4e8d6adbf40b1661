internal import Tunnel

/// The part of the command line about who may come in.
extension Grammar {
  /// Which services a ticket is for.
  static let scope = Option(
    "share", "NAME", .serviceName, isRepeatable: true, default: "all that are shared",
    help: "a service that the ticket is for, `-` for the one without a name")
  /// When a ticket ends.
  static let expires = Option(
    "expires", "TIME", .expiry, default: "never",
    help: "when the ticket ends and its sessions are closed: 24h from now, or at 2026-12-01 or "
      + "2026-12-01T15:30Z (UTC)")
  /// How many identities may use a ticket.
  static let uses = Option(
    "uses", "N", .count(in: 1...Grant.usesMax), default: "any number",
    help: "how many identities may use the ticket; one that has used it may come back")
  /// What a ticket is called.
  static let label = Option(
    "label", "TEXT", .label, help: "a name for the list of tickets; the peer does not see it")
  /// Which share a ticket is for.
  static let sharePort = Option(
    "port", "PORT", .port, default: "the only one that runs",
    help: "the share that listens at this port, where several run with the identity")
  /// Where a ticket says the share is.
  static let address = Option(
    "address", "HOST:PORT", .reachable, isRepeatable: true,
    default: "those that the running share found",
    help: "where the peer finds the share, such as the public address of a forwarded port")
  /// Who may come in.
  static let allow = Option(
    "allow", "FILE|IDENTITY", .allowEntry, isRepeatable: true, default: "everyone with a ticket",
    help: "let in these identities only, even with a ticket: one as `qtun keygen` prints it, or a "
      + "file with one a line, which is read again when it changes")

  /// A ticket that is looked at.
  static let shownTicket = Argument(
    "TICKET|-", .text, help: "the ticket; `-` reads it from standard input")
  /// A ticket that is taken back.
  static let revokedTicket = Argument(
    "ID|TICKET|LABEL", .text,
    help: "the ticket: its number or label as `qtun ticket list` shows it, or the ticket itself")

  /// `qtun ticket ...`
  static let ticketCommands = [ticketMake, ticketShow, ticketList, ticketRevoke]

  private static let ticketMake = CommandSpec(
    name: "ticket make",
    summary: "make a ticket with limits for a share that runs",
    description: [
      "Prints a ticket that works for some services, for some time or for some identities only, and "
        + "that can be taken back. The share need not be told: it reads the list of tickets beside "
        + "the identity's file."
    ],
    arguments: [],
    options: [
      scope.spec, expires.spec, uses.spec, label.spec, sharePort.spec, address.spec, identity.spec,
    ],
    examples: [
      ("qtun ticket make --expires 24h --uses 1 --label anna", "for one person and one day"),
      ("qtun ticket make --share web --address 203.0.113.5:4433", "for one service, from outside"),
    ])

  private static let ticketShow = CommandSpec(
    name: "ticket show",
    summary: "tell what a ticket allows",
    description: [
      "Prints what stands in a ticket, without its secret. With the identity that it was made by, "
        + "also what it is worth now."
    ],
    arguments: [shownTicket.spec],
    options: [identity.spec],
    examples: [("qtun ticket show -", "look at a ticket on standard input")])

  private static let ticketList = CommandSpec(
    name: "ticket list",
    summary: "list the tickets with limits that were made",
    description: [
      "Prints one line for each: number, status, when it was made and ends, uses left, services and "
        + "label. Tickets that `qtun share` prints without limits are not listed."
    ],
    arguments: [],
    options: [identity.spec],
    examples: [("qtun ticket list --json", "list them for a script")])

  private static let ticketRevoke = CommandSpec(
    name: "ticket revoke",
    summary: "take a ticket back and end its sessions",
    description: [
      "Nobody comes in with it any more, and running shares close the sessions that it opened, "
        + "within five seconds."
    ],
    arguments: [revokedTicket.spec],
    options: [identity.spec],
    examples: [("qtun ticket revoke anna", "take back the ticket with this label")])
}

/// Somebody who may come in, or a file of them.
enum AllowEntry: Equatable, Sendable {
  case identity(String)
  case file(String)
}

extension ValueParser where Value == AllowEntry {
  /// An identity is known by its form; a file of such a name can be written as `./NAME`.
  static let allowEntry = ValueParser { (text) throws(ValueProblem) in
    guard !text.isEmpty else {
      throw ValueProblem(text, "is empty", fix: "name an identity or a file")
    }
    let isIdentity =
      text.utf8.count == 52
      && text.utf8.allSatisfy { (0x61...0x7a).contains($0) || (0x32...0x37).contains($0) }
    return isIdentity ? .identity(text) : .file(text)
  }
}

extension ValueParser where Value == UInt64 {
  /// A whole number.
  static func count(in range: ClosedRange<UInt64>) -> ValueParser {
    ValueParser { (text) throws(ValueProblem) in
      guard let value = UInt64(text), range.contains(value) else {
        throw ValueProblem(
          text, "is not a number from \(range.lowerBound) to \(range.upperBound)",
          fix: "write one, such as \(range.lowerBound)")
      }
      return value
    }
  }
}

extension ValueParser where Value == UInt16 {
  /// A port that something listens on.
  static let port = ValueParser { (text) throws(ValueProblem) in
    guard let value = UInt16(text), value > 0 else {
      throw ValueProblem(text, "is not a port", fix: "write a number from 1 to 65535")
    }
    return value
  }
}

extension ValueParser where Value == String {
  /// The name of a service, empty for the one without.
  static let serviceName = ValueParser { (text) throws(ValueProblem) in
    if text == "-" { return "" }
    guard Service.isName(text) else {
      throw ValueProblem(
        text, "is not the name of a service", fix: "write a name such as web, or - for none")
    }
    return text
  }

  /// What a ticket is called.
  static let label = ValueParser { (text) throws(ValueProblem) in
    guard Ledger.isLabel(text) else {
      throw ValueProblem(
        text, "is not a label", fix: "write 1 to \(Ledger.labelMax) bytes of visible text")
    }
    return text
  }
}

extension ValueParser where Value == HostPort {
  /// A host and a port that peers can reach; a port alone would mean this machine.
  static let reachable = ValueParser { (text) throws(ValueProblem) in
    guard UInt64(text) == nil else {
      throw ValueProblem(
        text, "is only a port", fix: "write the host too, such as 203.0.113.5:\(text)")
    }
    return try HostPort.parse(text, rule: .service)
  }
}
