internal import QuicTransport
internal import Tunnel

/// What `qtun ticket show` tells of a ticket; never its secret.
struct TicketFacts {
  private let ticket: Ticket
  private let record: Ledger.TicketRecord?
  private let now: Timestamp

  /// - Parameter record: what the list of tickets says; nil where it does not know the ticket.
  init(_ ticket: Ticket, record: Ledger.TicketRecord?, now: Timestamp) {
    self.ticket = ticket
    self.record = record
    self.now = now
  }

  /// One fact a line, without the last newline.
  var text: String {
    var rows = [
      ("identity", ticket.identity.description),
      ("addresses", ticket.addresses.map(\.description).joined(separator: ", ")),
      ("services", services.map { $0.joined(separator: ", ") } ?? "all that are shared"),
    ]
    if !ticket.rendezvous.isEmpty {
      rows.insert(("relays", ticket.rendezvous.map(Self.name).joined(separator: ", ")), at: 2)
    }
    guard let grant = ticket.grant else { return Self.lines(rows + [("limits", "none")]) }
    rows += [
      ("id", grant.id.description),
      ("expires", grant.expiry == 0 ? "never" : Timestamp.text(seconds: grant.expiry)),
      ("uses", grant.uses == 0 ? "any number" : "\(grant.uses)"),
      ("status", status),
    ]
    if let left = record?.usesLeft { rows.append(("uses left", "\(left)")) }
    if let label = record?.label, !label.isEmpty { rows.append(("label", label)) }
    return Self.lines(rows)
  }

  /// The same as one JSON object on one line.
  var json: String {
    var writer = JSONWriter()
    writer.object { facts in
      facts.member("event", "ticket")
      facts.member("identity", ticket.identity.description)
      facts.array("addresses") { list in
        for address in ticket.addresses { list.element(address.description) }
      }
      facts.array("relays") { list in
        for relay in ticket.rendezvous { list.element(Self.name(relay)) }
      }
      if let services {
        facts.array("services") { list in for service in services { list.element(service) } }
      } else {
        facts.member("services", nil as String?)
      }
      facts.member("id", ticket.grant?.id.description)
      facts.member("expires", (ticket.grant?.expiry).flatMap(Self.time))
      facts.member("uses", ticket.grant.flatMap { $0.uses == 0 ? nil : Int64($0.uses) })
      facts.member("uses_left", record?.usesLeft.map { Int64($0) })
      facts.member("status", status)
      facts.member("label", record?.label)
    }
    return writer.text
  }

  /// The services that it is limited to.
  private var services: [String]? {
    guard let services = ticket.grant?.services, !services.isEmpty else { return nil }
    return services.map(TicketCommand.shown)
  }

  /// As --rendezvous takes it, with the first of its addresses.
  private static func name(_ relay: RendezvousAddress) -> String {
    "\(relay.key)@\(relay.addresses.first?.description ?? "?")"
  }

  /// A ticket of another identity's list may be revoked without anybody knowing here.
  private var status: String {
    let time = UInt64(max(0, now.seconds))
    if let record { return record.status(at: time).rawValue }
    return ticket.grant?.isExpired(at: time) == true
      ? Ledger.Status.expired.rawValue : "not known here"
  }

  /// RFC 3339; nil for never.
  static func time(_ expiry: UInt64) -> String? {
    expiry == 0 ? nil : Timestamp.text(seconds: expiry)
  }

  private static func lines(_ rows: [(String, String)]) -> String {
    rows.map { name, value in
      let gap = String(repeating: " ", count: max(1, 11 - name.count))
      return "\(name)\(gap)\(TerminalText.escaped(value))"
    }.joined(separator: "\n")
  }
}

/// One ticket of `qtun ticket list`.
struct TicketRow {
  private let ticket: Ledger.TicketRecord
  private let now: UInt64

  /// A ticket of the list.
  init(_ ticket: Ledger.TicketRecord, now: Timestamp) {
    self.ticket = ticket
    self.now = UInt64(max(0, now.seconds))
  }

  /// Columns between blanks, the label last because it may hold some.
  var text: String {
    let grant = ticket.grant
    let services = grant.services.map(TicketCommand.shown).joined(separator: ",")
    let columns = [
      grant.id.description, ticket.status(at: now).rawValue,
      Timestamp.text(seconds: ticket.created),
      TicketFacts.time(grant.expiry) ?? "never",
      ticket.usesLeft.map { "\($0)/\(grant.uses)" } ?? "*",
      services.isEmpty ? "*" : services, ticket.label.isEmpty ? "-" : ticket.label,
    ]
    return TerminalText.escaped(columns.joined(separator: "  "))
  }

  /// The same as one JSON object on one line.
  var json: String {
    let grant = ticket.grant
    var writer = JSONWriter()
    writer.object { row in
      row.member("event", "ticket")
      row.member("id", grant.id.description)
      row.member("status", ticket.status(at: now).rawValue)
      row.member("created", Timestamp.text(seconds: ticket.created))
      row.member("expires", TicketFacts.time(grant.expiry))
      row.member("uses", grant.uses == 0 ? nil : Int64(grant.uses))
      row.member("uses_left", ticket.usesLeft.map { Int64($0) })
      row.array("services") { list in
        for service in grant.services { list.element(TicketCommand.shown(service)) }
      }
      row.array("used_by") { list in
        for user in ticket.users { list.element(user.description) }
      }
      row.member("label", ticket.label)
    }
    return writer.text
  }
}
