internal import QuicTransport
internal import Tunnel

/// `qtun ticket make|show|list|revoke`: works on the list of tickets beside the identity's file;
/// shares that run notice by themselves.
struct TicketCommand {
  let settings: TicketSettings

  func run(_ global: GlobalSettings, console: Console) throws(Failure) {
    switch settings.action {
    case .make(let limits, let port, let addresses):
      try make(limits, port: port, addresses: addresses, global)
    case .show(let source): try show(source, global)
    case .list: try list(global)
    case .revoke(let name): try revoke(name, global, console)
    }
  }

  private var file: LedgerFile { LedgerFile(besideIdentity: settings.identityFile) }

  // MARK: Make

  private func make(
    _ limits: TicketLimits, port: UInt16?, addresses: [HostPort], _ global: GlobalSettings
  ) throws(Failure) {
    let identity: Identity
    do throws(IdentityFileError) {
      identity = try IdentityFile.load(path: settings.identityFile)
    } catch {
      throw Failure(error, path: settings.identityFile)
    }
    let share = try runningShare(port: port)
    if let unknown = limits.services.first(where: { !share.services.contains($0) }) {
      throw Failure(
        .configuration, "the share has no service \(Self.shown(unknown))",
        fix: "choose from \(share.services.map(Self.shown).joined(separator: ", "))")
    }
    var resolved: [SocketAddress] = []
    for address in addresses { resolved += try address.resolve() }
    var root = Ticket(
      identity: identity.publicKey,
      capability: Ticket.makeCapability(of: identity, service: share.context),
      port: share.suggestedPort, addresses: addresses.isEmpty ? share.addresses : resolved)
    root.rendezvous = share.rendezvous
    let (ticket, grant) = try file.issue(root, limits: limits)
    guard global.isJSON else { return try StandardOutput.writeLine(ticket.text) }
    var writer = JSONWriter()
    writer.object { result in
      result.member("event", "ticket")
      result.member("ticket", ticket.text)
      result.member("id", grant.id.description)
      result.member("identity", ticket.identity.description)
    }
    try StandardOutput.writeLine(writer.text)
  }

  private func runningShare(port: UInt16?) throws(Failure) -> Ledger.ShareRecord {
    let running = try file.read().runningShares
    let chosen = port.map { port in running.filter { $0.port == port } } ?? running
    if let share = chosen.first, chosen.count == 1 { return share }
    guard !running.isEmpty else {
      throw Failure(
        .configuration, "no share runs with the identity in \(settings.identityFile)",
        fix: "start `qtun share` first, or name its key file with --identity")
    }
    throw Failure(
      .configuration,
      port.map { "no share listens at port \($0)" } ?? "several shares run with this identity",
      fix: "choose one with --port: "
        + running.map { share in
          "\(share.port) (\(share.services.map(Self.shown).joined(separator: " ")))"
        }.joined(separator: ", "))
  }

  // MARK: Show

  private func show(_ source: TicketSource, _ global: GlobalSettings) throws(Failure) {
    let ticket = try ConnectCommand.readTicket(source)
    // Whoever did not make the ticket has no list, and need not have one.
    let record = ticket.grant.flatMap { grant in try? file.read().ticket(grant.id) }
    let facts = TicketFacts(ticket, record: record, now: .now())
    try StandardOutput.writeLine(global.isJSON ? facts.json : facts.text)
  }

  // MARK: List

  private func list(_ global: GlobalSettings) throws(Failure) {
    let now = Timestamp.now()
    for ticket in try file.read().tickets {
      let row = TicketRow(ticket, now: now)
      try StandardOutput.writeLine(global.isJSON ? row.json : row.text)
    }
  }

  // MARK: Revoke

  private func revoke(
    _ name: String, _ global: GlobalSettings, _ console: Console
  ) throws(Failure) {
    ProcessArguments.hide(name)
    let id = try find(name)
    try file.change { ledger throws(AccessFileError) in _ = ledger.revoke(id) }
    if !global.isQuiet, global.logFormat == .text {
      console.printLine("revoked \(id); its sessions end within five seconds")
    }
    guard global.isJSON else { return }
    var writer = JSONWriter()
    writer.object { result in
      result.member("event", "revoked")
      result.member("id", id.description)
    }
    try StandardOutput.writeLine(writer.text)
  }

  private func find(_ name: String) throws(Failure) -> GrantID {
    let tickets = try file.read().tickets
    let found: [GrantID]
    if name.hasPrefix("qtun1"), let ticket = try? Ticket(name) {
      guard let grant = ticket.grant else {
        throw Failure(
          .configuration, "this ticket has no limits, so it cannot be taken back by itself",
          fix: "end the share: one with a free port makes a new ticket at each start, one with a "
            + "fixed port with a new identity; and give out tickets of `qtun ticket make` instead")
      }
      found = tickets.map(\.grant.id).filter { $0 == grant.id }
    } else if let id = GrantID(name), tickets.contains(where: { $0.grant.id == id }) {
      found = [id]
    } else {
      found = tickets.filter { $0.label == name }.map(\.grant.id)
    }
    guard let id = found.first else {
      throw Failure(
        .configuration, "there is no such ticket in \(file.path)",
        fix: "`qtun ticket list` shows those that there are")
    }
    guard found.count == 1 else {
      throw Failure(
        .configuration, "\(found.count) tickets have this label",
        fix: "write the number of one: \(found.map(\.description).joined(separator: ", "))")
    }
    return id
  }

  /// The name of a service as it is written on the command line.
  static func shown(_ service: String) -> String { service.isEmpty ? "-" : service }
}
