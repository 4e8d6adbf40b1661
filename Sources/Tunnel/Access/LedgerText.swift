internal import QuicTransport

/// How a ledger stands in its file: one record a line, fields between tabs, an end line.
///
///     qtun-access 1
///     share   PID START PORT HINT ADDRESSES SERVICES CONTEXT [RENDEZVOUS]
///     ticket  ID CREATED EXPIRY USES STATE SERVICES LABEL
///     user    IDENTITY                       of the ticket above
///     end
///
/// Every line must be understood: half a list of tickets would allow what the other half forbids.
extension Ledger {
  /// The content of the file.
  public var text: [UInt8] {
    var records: [[String]] = []
    for share in shares {
      var fields = [
        "share", "\(share.process.number)", "\(share.process.start)", "\(share.port)",
        "\(share.suggestedPort)", Self.join(share.addresses), Self.join(share.services),
        share.context,
      ]
      // Left out where there are none, so that earlier versions read the line.
      if !share.rendezvous.isEmpty { fields.append(Self.join(share.rendezvous)) }
      records.append(fields)
    }
    for ticket in tickets {
      let grant = ticket.grant
      records.append([
        "ticket", grant.id.description, "\(ticket.created)", "\(grant.expiry)",
        "\(grant.uses)", ticket.isRevoked ? "revoked" : "issued", Self.join(grant.services),
        ticket.label,
      ])
      for user in ticket.users { records.append(["user", user.description]) }
    }
    return RecordText.bytes(heading: Self.heading, records: records)
  }

  /// Reads the content of a file.
  public init(text: [UInt8]) throws(AccessFileError) {
    self.init()
    for (line, fields) in try RecordText.records(text, heading: Self.heading) {
      guard read(fields) else { throw .malformed(line: line) }
    }
  }

  private static let heading = "qtun-access 1"

  private mutating func read(_ fields: [String]) -> Bool {
    switch fields.first {
    case "share":
      guard shares.count < Self.sharesMax, let share = ShareRecord(fields: fields) else {
        return false
      }
      shares.append(share)
    case "ticket":
      guard tickets.count < Self.ticketsMax, let record = TicketRecord(fields: fields),
        ticket(record.grant.id) == nil
      else { return false }
      tickets.append(record)
    case "user":
      guard fields.count == 2, let user = PublicKey(text: fields[1]),
        let last = tickets.indices.last,
        UInt64(tickets[last].users.count) < tickets[last].grant.uses,
        !tickets[last].users.contains(user)
      else { return false }
      tickets[last].users.append(user)
    default: return false
    }
    return true
  }

  // MARK: Fields

  /// Service names between commas; `-` is the one without a name, and can be no name.
  private static func join(_ services: [String]) -> String {
    services.map { $0.isEmpty ? "-" : $0 }.joined(separator: ",")
  }

  private static func join(_ addresses: [SocketAddress]) -> String {
    addresses.map { "\($0.host)/\($0.port)" }.joined(separator: ",")
  }

  static func addresses(_ text: String) -> [SocketAddress]? {
    var addresses: [SocketAddress] = []
    for word in text.split(separator: ",") {
      let parts = word.split(separator: "/")
      guard parts.count == 2, let port = UInt16(parts[1]),
        let address = SocketAddress(String(parts[0]), port: port)
      else { return nil }
      addresses.append(address)
    }
    return addresses
  }

  /// `KEY@ADDRESSES` with semicolons between.
  private static func join(_ rendezvous: [RendezvousAddress]) -> String {
    rendezvous.map { "\($0.key)@\(join($0.addresses))" }.joined(separator: ";")
  }

  static func rendezvous(_ text: String) -> [RendezvousAddress]? {
    let words = text.split(separator: ";")
    guard (1...RendezvousAddress.countMax).contains(words.count) else { return nil }
    var all: [RendezvousAddress] = []
    for word in words {
      let parts = word.split(separator: "@", omittingEmptySubsequences: false)
      guard parts.count == 2, let key = PublicKey(text: String(parts[0])),
        let addresses = addresses(String(parts[1])),
        addresses.count <= RendezvousAddress.addressesMax
      else { return nil }
      all.append(RendezvousAddress(key: key, addresses: addresses))
    }
    return all
  }

  static func services(_ text: String) -> [String]? {
    let names = text.split(separator: ",").map { $0 == "-" ? "" : String($0) }
    return names.allSatisfy { $0.isEmpty || Service.isName($0) } ? names : nil
  }
}

extension Ledger.ShareRecord {
  fileprivate init?(fields: [String]) {
    guard (8...9).contains(fields.count), let number = Int32(fields[1]),
      let start = UInt64(fields[2]), let port = UInt16(fields[3]), let hint = UInt16(fields[4]),
      let addresses = Ledger.addresses(fields[5]), let services = Ledger.services(fields[6]),
      let rendezvous = fields.count == 9 ? Ledger.rendezvous(fields[8]) : []
    else { return nil }
    self.init(
      process: ProcessMark(number: number, start: start), port: port, context: fields[7],
      addresses: addresses, suggestedPort: hint, services: services, rendezvous: rendezvous)
  }
}

extension Ledger.TicketRecord {
  fileprivate init?(fields: [String]) {
    guard fields.count == 8, let id = GrantID(fields[1]), let created = UInt64(fields[2]),
      let expiry = UInt64(fields[3]), let uses = UInt64(fields[4]),
      ["issued", "revoked"].contains(fields[5]), let services = Ledger.services(fields[6]),
      let grant = Grant(id: id, expiry: expiry, uses: uses, services: services)
    else { return nil }
    self.init(grant: grant, label: fields[7], created: created)
    isRevoked = fields[5] == "revoked"
  }
}
