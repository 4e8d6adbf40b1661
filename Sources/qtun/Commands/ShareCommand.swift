internal import QuicTransport
internal import Tunnel

/// `qtun share`: prints the ticket and serves until it is told to stop.
struct ShareCommand: Sendable {
  private let settings: ShareSettings
  private let configuration: Share.Configuration
  private let ledger: LedgerFile
  /// What the capability is derived from; no secret.
  private let context: String

  /// Reads the identity and looks the targets up, before anything is started.
  init(settings: ShareSettings, global: GlobalSettings, console: Console) throws(Failure) {
    self.settings = settings
    let identity = try settings.session.loadIdentity(console: console, global: global)
    let listen = try settings.listen?.localAddress() ?? SocketAddress.any
    // Peers find a fixed port again after a restart, so their tickets should stay valid as well.
    // Of a free port, tickets are new each time. Either way the capability follows from the key and
    // from words that may be known, so that `qtun ticket make` needs no other secret.
    context =
      listen.port == 0
      ? "salt \(Base32.encode(Crypto.random(16)))"
      : settings.services.map(\.description).joined(separator: " ")
    ledger = LedgerFile(besideIdentity: settings.session.identityFile)
    let access = AccessRules(tickets: ledger, allowed: try .init(settings.allowed))
    var services: [Service] = []
    for service in settings.services {
      services.append(try service.resolve(proxyProtocol: settings.proxyProtocol))
    }
    var configuration = Share.Configuration(
      identity: identity, services: services, listenAddress: listen,
      capability: Ticket.makeCapability(of: identity, service: context), access: access,
      session: settings.session.tunnel)
    configuration.listenRules = settings.listenRules
    for name in settings.meeting.rendezvous { configuration.rendezvous.append(try name.resolve()) }
    configuration.relayTokens = try settings.relayTokens.read(for: configuration.rendezvous)
    for server in settings.meeting.stun { configuration.stunServers += try server.resolve() }
    configuration.watchesRequests = RequestView.isShown(global)
    configuration.hidesAddresses = settings.meeting.hidesAddresses
    configuration.path = settings.meeting.path
    configuration.mapsPort = settings.meeting.mapsPort
    configuration.publicWishes = settings.publicly.wishes
    configuration.health = settings.publicly.health
    if let file = settings.publicly.groupFile {
      configuration.publicGroup = try PublicGroupFile.loadOrCreate(
        path: file, balance: settings.publicly.balance)
    }
    self.configuration = configuration
  }

  func run(_ run: LoopRun) async throws(Failure) -> ExitCode {
    try checkFolders()
    let share: Share
    let board = PublicBoard(settings)
    do throws(TunnelError) {
      share = try await Share.open(configuration, loop: run.loop) { [weak run] event in
        run?.report(event)
        if let run { board.take(event, run) }
      }
    } catch {
      throw Failure(error)
    }
    let recording = try record(share, run)
    defer { recording?.remove() }
    try announce(share, try ticket(of: share), run)
    board.begin(run)
    for service in settings.services { await warnIfNothingListens(service, share, run) }
    let (identity, services) = (share.ticket.identity, settings.services)
    await run.offerStatus {
      await share.report
    } publicText: {
      board.text($0)
    } header: { json in
      StatusJSON.writeHeader(role: "share", identity: identity, shared: services, to: &json)
    }
    await run.showStatus { await share.statistics }
    switch await run.nextWakeup() {
    case .signal(let signal):
      run.log.info("stopping", .signal(signal), .cause("open flows may finish"))
    case .over(let error):
      await share.close()
      throw Failure(error)
    case .dialled, .flowEnded: break
    }
    await share.drain(within: LoopRun.drainGrace)
    let totals = await share.statistics
    await share.close()
    try await run.summarize(totals)
    return .ok
  }

  /// A folder that is missing now is a slip; one that vanishes later is an error of its requests.
  private func checkFolders() throws(Failure) {
    for case .folder(let path) in settings.services.map(\.place) {
      do throws(RuntimeError) {
        _ = try SharedFolder(path: path)
      } catch {
        throw Failure(
          .configuration, "cannot share the folder \(path): \(Failure.systemMessage(error.code))",
          fix: "name a folder that this user can read, such as dir:./site (Linux 5.6 or newer)")
      }
    }
  }

  /// A share whose folder cannot be written serves all the same, unless its own ticket has limits.
  private func record(_ share: Share, _ run: LoopRun) throws(Failure) -> ShareRecording? {
    do throws(Failure) {
      return try ShareRecording(
        share, file: ledger, context: context, services: configuration.services)
    } catch {
      guard settings.limits.isEmpty else { throw error }
      run.log.warning("`qtun ticket` cannot be used with this share", .cause(error.cause))
      return nil
    }
  }

  private func ticket(of share: Share) throws(Failure) -> String {
    guard !settings.limits.isEmpty else { return share.ticket.text }
    return try ledger.issue(share.ticket, limits: settings.limits).0.text
  }

  private func announce(
    _ share: Share, _ ticket: String, _ run: LoopRun
  ) throws(Failure) {
    let targets = settings.services.map(\.description).joined(separator: " ")
    run.log.info(
      "sharing", .target(targets), .address(share.localAddress.description),
      .identity(share.ticket.identity.description))
    if run.settings.logFormat == .text, !run.settings.isQuiet {
      run.console.printLine("on the other machine run:\n\n  qtun connect \(ticket)\n")
    }
    guard run.settings.isJSON else { return try StandardOutput.writeLine(ticket) }
    var writer = JSONWriter()
    writer.object { result in
      result.member("event", "ticket")
      result.member("ticket", ticket)
      result.member("identity", share.ticket.identity.description)
      result.member("target", targets)
      result.member("address", share.localAddress.description)
    }
    try StandardOutput.writeLine(writer.text)
  }

  private func warnIfNothingListens(
    _ service: NamedPlace, _ share: Share, _ run: LoopRun
  ) async {
    let code = await share.probeTarget(of: service.name ?? "")
    guard code != 0 else { return }
    run.log.warning(
      "shared service does not answer yet", .target(service.description),
      .cause(Failure.systemMessage(code)), .fix("start it; connections are passed on from then on"))
  }
}

extension LoopRun {
  /// How long open flows may go on after a first signal; a second one ends them.
  static let drainGrace = Duration.seconds(30)
}
