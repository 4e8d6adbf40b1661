internal import Glibc
internal import QuicTransport
internal import Tunnel

/// `qtun pipe`: joins standard input and output to those of a peer.
struct PipeCommand: Sendable {
  private let role: Role

  private enum Role: Sendable {
    case waiting(Share.Configuration, ticketFile: String?)
    case connecting(Link.Configuration)
  }

  /// Reads the ticket and the identity, before anything is started.
  init(settings: PipeSettings, global: GlobalSettings, console: Console) throws(Failure) {
    switch settings.role {
    case .waiting(let listen, let ticketFile):
      let identity = try settings.session.loadIdentity(console: console, global: global)
      let streams = Service.Target.streams(input: STDIN_FILENO, output: STDOUT_FILENO)
      // A pipe is used once, so its ticket is always a new one.
      let configuration = Share.Configuration(
        identity: identity, services: [Service(name: "", target: streams)],
        listenAddress: try listen?.localAddress() ?? .any, capability: Ticket.makeCapability(),
        access: AccessRules(tickets: nil, allowed: nil), session: settings.session.tunnel)
      role = .waiting(configuration, ticketFile: ticketFile)
    case .connecting(let source, let dialling):
      let ticket = try ConnectCommand.readTicket(source)
      let identity = try settings.session.loadIdentity(console: console, global: global)
      role = .connecting(
        try Link.Configuration(
          identity: identity, ticket: ticket,
          opening: .streams(input: STDIN_FILENO, output: STDOUT_FILENO, to: nil),
          session: settings.session.tunnel, dialling: dialling, retry: .never))
    }
  }

  /// For `qtun to -W`; opens streams.
  init(connecting configuration: Link.Configuration) {
    role = .connecting(configuration)
  }

  func run(_ run: LoopRun) async throws(Failure) -> ExitCode {
    switch role {
    case .waiting(let configuration, let ticketFile):
      try await wait(configuration, ticketFile, run)
    case .connecting(let configuration): try await connect(configuration, run)
    }
    return .ok
  }

  // MARK: Ends

  private func wait(
    _ configuration: Share.Configuration, _ ticketFile: String?, _ run: LoopRun
  ) async throws(Failure) {
    let share: Share
    do throws(TunnelError) {
      share = try await Share.open(configuration, loop: run.loop) { [weak run] event in
        run?.report(event)
        // Peers that come too late or ask for something else are none of the pipe's business.
        if case .flowEnded(let report) = event, report.ending != .targetBusy,
          report.ending != .rejected
        {
          run?.note(.flowEnded(report))
        }
      }
    } catch {
      throw Failure(error)
    }
    let file = try ticketFile.map { path throws(Failure) in
      try TicketFile(path: path, ticket: share.ticket.text)
    }
    defer { file?.remove() }
    if file == nil { announce(share.ticket.text, run) }
    await run.offerStatus {
      await share.report
    } header: { json in
      StatusJSON.writeHeader(
        role: "pipe", identity: configuration.identity.publicKey, opened: [], to: &json)
    }
    let ending = await ending(run, session: nil)
    var isConfirmed = false
    if ending == .finished { isConfirmed = await share.drain(within: LoopRun.drainGrace) }
    let totals = await share.statistics
    await share.close()
    try run.conclude(ending, isConfirmed: isConfirmed)
    try await run.summarize(totals, isOutputTaken: true)
  }

  private func connect(
    _ configuration: Link.Configuration, _ run: LoopRun
  ) async throws(Failure) {
    let link = try await run.openLink(configuration) { [weak run] event in
      if case .flowEnded(let report) = event { run?.note(.flowEnded(report)) }
    }
    guard let link else { return try run.conclude(nil, isConfirmed: false) }
    await run.offerStatus {
      await link.report
    } header: { json in
      StatusJSON.writeHeader(
        role: "pipe", identity: configuration.identity.publicKey, opened: [], to: &json)
    }
    let ending = await ending(run) { await link.end }
    var isConfirmed = false
    if ending == .finished { isConfirmed = await link.drain(within: LoopRun.drainGrace) }
    let totals = await link.statistics
    await link.close()
    try run.conclude(ending, isConfirmed: isConfirmed)
    try await run.summarize(totals, isOutputTaken: true)
  }

  /// How the pipe ended; nil when a signal came first.
  private func ending(
    _ run: LoopRun, session: (@Sendable () async -> TunnelError)?
  ) async -> FlowReport.Ending? {
    switch await PipeEnd.first(of: run.wakeups, session: session, on: run.loop) {
    case .flow(let ending): return ending
    case .session: return .sessionLost
    case .signal(let signal):
      run.log.info("stopping", .signal(signal))
      return nil
    }
  }

  private func announce(_ ticket: String, _ run: LoopRun) {
    guard !run.settings.isJSON else {
      var writer = JSONWriter()
      writer.object { result in
        result.member("event", "ticket")
        result.member("ticket", ticket)
      }
      return run.console.printLine(writer.text)
    }
    if run.settings.logFormat == .text, !run.settings.isQuiet {
      run.console.printLine("on the other machine run `qtun pipe TICKET` with this ticket:\n")
    }
    run.console.printLine(ticket)
  }
}

extension LoopRun {
  /// Turns what became of a pipe into the end of the run.
  ///
  /// - Parameter ending: nil when a signal came first.
  fileprivate nonisolated func conclude(
    _ ending: FlowReport.Ending?, isConfirmed: Bool
  ) throws(Failure) {
    let again = "send everything again with a new pipe"
    switch ending {
    case .finished where isConfirmed: return
    case .finished:
      throw Failure(
        .incomplete, "the peer vanished before it confirmed the last bytes", fix: again)
    case nil:
      throw Failure(
        .incomplete, "a signal ended the pipe before both directions had ended", fix: again)
    case .remoteReset:
      throw Failure(
        .incomplete, "the peer broke the pipe off before both directions had ended", fix: again)
    case .localFailure(EPIPE):
      throw Failure(
        .incomplete, "the reader of standard output is gone",
        fix: "keep the program behind the pipe reading to the end")
    case .localFailure(let code):
      throw Failure(
        .incomplete, "standard input or output failed: \(Failure.systemMessage(code))", fix: again)
    case .sessionLost:
      throw Failure(
        .incomplete, "the session was lost before both directions had ended",
        fix: "check the network between the two sides, and \(again)")
    case .targetRefused:
      let problem = ending.flatMap(Describe.problem)
      throw Failure(.targetRefused, problem?.cause ?? "nothing listens", fix: problem?.fix ?? again)
    case .targetUnreachable, .targetBusy, .targetNotAllowed, .nameNotFound,
      .rejected:
      let problem = ending.flatMap(Describe.problem)
      throw Failure(.refused, problem?.cause ?? "the peer refuses", fix: problem?.fix ?? again)
    }
  }
}
