internal import Glibc
internal import QuicTransport
internal import Tunnel

/// One run of a command that lives until it is told to stop: the event loop on the main thread,
/// the signals, the status line, and the summary at the end.
actor LoopRun {
  let loop: EpollLoop
  nonisolated let log: Log
  nonisolated let console: Console
  nonisolated let settings: GlobalSettings
  /// The HTTP requests that pass through a share.
  nonisolated let requests: RequestView
  /// Signals, and what `note` reports.
  nonisolated let wakeups = Wakeups()

  private let signals: SignalPipe
  private let status: LiveStatus
  private let start: Instant
  private var ticker: LoopTimer?
  private var control: ControlSocket?
  private var lastTotals = TunnelTotals()
  private var lastShown: Instant

  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  /// Runs `body` on a loop on this thread and returns what it ends with.
  ///
  /// - Parameter hangupReloads: SIGHUP asks for the settings to be read again, and not for the end.
  static func run(
    _ settings: GlobalSettings, console: Console, hangupReloads: Bool = false,
    body: @escaping @Sendable (LoopRun) async throws(Failure) -> ExitCode
  ) throws(Failure) -> ExitCode {
    raiseDescriptorLimit()
    let status = LiveStatus(console: console, settings: settings)
    let signals = try SignalPipe(
      lastWords: status.isShown ? "\n" : "", hangupReloads: hangupReloads)
    let loop: EpollLoop
    do throws(RuntimeError) {
      loop = try EpollLoop()
    } catch {
      throw Failure(
        .internalError, "cannot start: \(error)", fix: "raise the limit of open files: `ulimit -n`")
    }
    let run = LoopRun(
      loop: loop, settings: settings, console: console, signals: signals, status: status)
    let result = Box()
    Task(executorPreference: loop) {
      await run.perform(body, into: result)
    }
    loop.run()
    run.log.flush()
    return try result.get()
  }

  private init(
    loop: EpollLoop, settings: GlobalSettings, console: Console, signals: SignalPipe,
    status: LiveStatus
  ) {
    self.loop = loop
    self.settings = settings
    self.console = console
    self.signals = signals
    self.status = status
    start = loop.now
    lastShown = loop.now
    log = Log(
      level: settings.logLevel, format: settings.logFormat, console: console, clock: .system)
    requests = RequestView(settings: settings, console: console)
  }

  private func perform(
    _ body: @Sendable (LoopRun) async throws(Failure) -> ExitCode, into result: Box
  ) async {
    watchSignals()
    do throws(Failure) {
      result.set(.success(try await body(self)))
    } catch {
      result.set(.failure(error))
    }
    if let ticker { loop.cancel(ticker) }
    control?.close()
    status.clear()
    loop.stop()
  }

  /// Ten thousand flows take ten thousand descriptors; the soft limit is often 1024.
  private static func raiseDescriptorLimit() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }
}

// MARK: - Waiting

extension LoopRun {
  /// Waits for a signal, or for what `note` reports.
  func nextWakeup() async -> Wakeups.Wakeup {
    await wakeups.next()
  }

  nonisolated func note(_ wakeup: Wakeups.Wakeup) {
    wakeups.note(wakeup)
  }

  /// Dials until the session is open; nil when a signal came first.
  ///
  /// - Parameter onEvent: called on the loop, after the event was logged.
  func openLink(
    _ configuration: Link.Configuration, onEvent: @escaping @Sendable (TunnelEvent) -> Void
  ) async throws(Failure) -> Link? {
    let dialling = Task(executorPreference: loop) {
      defer { self.note(.dialled) }
      do throws(TunnelError) {
        let link = try await Link.open(configuration, loop: self.loop) { [weak self] event in
          self?.report(event)
          onEvent(event)
        }
        return Result<Link, TunnelError>.success(link)
      } catch {
        return .failure(error)
      }
    }
    // A flow may end before its link is known here, and is told of again then.
    var ended: [FlowReport] = []
    waiting: while true {
      switch await nextWakeup() {
      case .signal(let signal):
        log.info("stopping", .signal(signal), .cause("no session is open yet"))
        return nil
      case .flowEnded(let report): ended.append(report)
      case .dialled, .over: break waiting
      }
    }
    for report in ended { note(.flowEnded(report)) }
    do throws(TunnelError) {
      return try await dialling.value.get()
    } catch {
      throw Failure(error, identity: configuration.identity.publicKey)
    }
  }

  private func watchSignals() {
    // Without it, a signal still ends the process the second time.
    try? SignalWatch.start(signals, on: loop) { [wakeups] in wakeups.note(.signal($0)) }
  }
}

// MARK: - Telling

extension LoopRun {
  /// Redraws the status line from now on, if there is one.
  func showStatus(_ statistics: @escaping @Sendable () async -> TunnelTotals) {
    guard status.isShown else { return }
    let timer = LoopTimer { [weak self] _ in
      guard let self else { return }
      Task(executorPreference: self.loop) { await self.redraw(statistics) }
    }
    ticker = timer
    loop.schedule(timer, at: loop.now)
  }

  /// Answers `qtun status` from now on. Where no socket can be made, the run goes on without.
  ///
  /// - Parameters:
  ///   - publicText: a public address as visitors write it.
  ///   - header: writes what does not change.
  func offerStatus(
    _ report: @escaping @Sendable () async -> TunnelReport,
    publicText: @escaping @Sendable (PublicAddress) -> String = { Describe.place($0, relay: "") },
    header: @escaping @Sendable (inout JSONWriter) -> Void
  ) {
    guard let folder = ControlFolder.make(environment: .process) else {
      return log.debug("no status", .cause("there is no private folder for a socket"))
    }
    let path = ControlFolder.socket(in: folder)
    do throws(RuntimeError) {
      control = try ControlSocket(loop: loop, path: path) { [weak self] request, respond in
        guard let self, request["command"]?.text == "status" else { return respond(nil) }
        // SAFETY: called on the loop, where the task runs as well.
        nonisolated(unsafe) let answer = respond
        Task(executorPreference: self.loop) {
          answer(await self.describe(await report(), publicText, header))
        }
      }
    } catch {
      log.debug("no status", .file(path), .cause(error.description))
    }
  }

  private func describe(
    _ report: TunnelReport, _ publicText: @escaping @Sendable (PublicAddress) -> String,
    _ header: @escaping @Sendable (inout JSONWriter) -> Void
  ) -> String {
    StatusJSON(report: report, header: header, publicText: publicText).text(
      process: getpid(), uptime: loop.now - start)
  }

  private func redraw(_ statistics: @Sendable () async -> TunnelTotals) async {
    let totals = await statistics()
    let isConnected = totals.sessionsOpen > 0
    // Visitors of public addresses come without a session.
    let isServing = totals.sessions == 0 && totals.flows > 0
    let (now, last) = (totals.connection, lastTotals.connection)
    let status = TunnelStatus(
      phase: isConnected ? .connected : isServing ? .serving : .waiting,
      path: totals.path.map(Describe.path), rtt: isConnected ? now.smoothedRTT : nil,
      flows: UInt64(totals.flowsOpen + totals.datagramFlowsOpen),
      bytesSent: isServing
        ? totals.bytesSent &- lastTotals.bytesSent : now.bytesSent &- last.bytesSent,
      bytesReceived: isServing
        ? totals.bytesReceived &- lastTotals.bytesReceived
        : now.bytesReceived &- last.bytesReceived,
      interval: loop.now - lastShown, requests: requests.tally.count,
      targetsDown: totals.targetsDown)
    lastTotals = totals
    lastShown = loop.now
    requests.tellHidden()
    self.status.show(status)
    if let ticker { loop.schedule(ticker, at: loop.now + .milliseconds(500)) }
  }

  /// Prints what the run did.
  ///
  /// - Parameter isOutputTaken: standard output belongs to data.
  func summarize(_ totals: TunnelTotals, isOutputTaken: Bool = false) throws(Failure) {
    requests.tellHidden()
    status.clear()
    var summary = Summary(
      duration: loop.now - start, sessions: UInt64(totals.sessions), flows: UInt64(totals.flows),
      flowsFailed: UInt64(totals.flowsFailed), datagramFlows: UInt64(totals.datagramFlows),
      datagramsSent: totals.datagrams.sent, datagramsReceived: totals.datagrams.received,
      datagramsDropped: totals.datagrams.dropped,
      bytesSent: totals.bytesSent + totals.datagrams.bytesSent,
      bytesReceived: totals.bytesReceived + totals.datagrams.bytesReceived,
      rtt: totals.sessions > 0 ? totals.connection.smoothedRTT : nil,
      packetsSent: totals.connection.datagramsSent, packetsLost: totals.connection.packetsLost)
    summary.requests = requests.tally
    if settings.isJSON {
      if isOutputTaken {
        console.printLine(summary.json)
      } else {
        try StandardOutput.tell(summary.json)
      }
    }
    if !settings.isQuiet, settings.logFormat == .text { console.printLine(summary.text) }
  }

  /// Tells what happens to sessions and flows, in the log.
  nonisolated func report(_ event: TunnelEvent) {
    switch event {
    case .sessionOpened(let peer, let path, let rtt):
      log.info(
        "connected", .path(Describe.path(path)), .rtt(rtt), .peer(peer?.description ?? "unknown"))
    case .sessionMoved(let path, let reason):
      log.info("moved", .path(Describe.path(path)), .cause(Describe.reason(reason)))
    case .notDirectInTime(let time):
      log.info(
        "no direct path in time", .duration(time), .cause("going on through the relay meanwhile"))
    case .sessionSilent(_, let time):
      log.warning(
        "no answer from the peer", .duration(time),
        .cause("trying to reach it; open connections wait"))
    case .sessionReturned(_, let time): log.info("the peer is back", .duration(time))
    case .retrying(let attempt, let delay, let error):
      // The first says that it goes on; later ones are more of the same.
      let cause = LogField.cause(Failure(error).cause)
      if attempt == 1 {
        log.info("trying again until the peer answers", cause)
      } else {
        log.debug("trying again", .count(Int64(attempt)), .duration(delay), cause)
      }
    case .sessionEnded(let peer, let remote, let reason):
      log.info(
        "session ended", .address(remote.description), .cause(reason.description),
        .peer(peer?.description ?? "unknown"))
    case .sessionRefused(let remote, let reason):
      // Whatever reaches a UDP port may look like the beginning of a session; only a peer that got
      // as far as being judged is worth a line.
      if case .application = reason {
        log.warning("peer not let in", .address(remote.description), .cause(reason.description))
      } else {
        log.debug("no session", .address(remote.description), .cause(reason.description))
      }
    case .meeting(let event): report(event)
    case .flowOpened(let number): log.debug("flow opened", .flow(number))
    case .flowEnded(let flow): report(flow)
    case .request(let request): requests.note(request)
    case .datagramFlowOpened(let number): log.debug("udp flow opened", .flow(Int64(number)))
    case .datagramFlowEnded(let flow): report(flow)
    case .listeningForPeer(let peer, let address):
      log.info(
        "listening for the peer", .address(address.description),
        .peer(peer?.description ?? "unknown"))
    case .listenRefused(let peer, let address):
      log.warning(
        "not listening for the peer", .address(address.description),
        .peer(peer?.description ?? "unknown"),
        .cause("--allow-listen does not allow it, or the peer's ticket is for some services only"))
    case .remoteListening(let address):
      log.info("the sharing side listens", .address(address.description))
    case .remoteListenRefused(let address, let status):
      log.warning(
        "the sharing side does not listen", .address(address.description),
        .cause(Describe.refusal(status)))
    case .publicListening(let address):
      log.info(
        "the relay listens for everybody", .address(Describe.place(address, relay: "")),
        .peer(address.relay.description))
    case .publicRefused(let address, let status, _):
      log.warning(
        "the relay does not listen for us", .address(Describe.place(address, relay: "")),
        .cause(Describe.refusal(status)), .fix(Describe.fix(status)))
    case .targetHealth(let service, let isUp, let problem):
      reportHealth(service, isUp: isUp, problem)
    case .flowLimitReached:
      log.warning("connection refused", .cause("the peer allows no more flows for now"))
    case .peerDraining(let reason): log.info("peer is stopping", .cause(reason))
    case .accessFileUnusable(let problem):
      let failure = Failure(problem)
      log.warning(
        "access file cannot be used", .cause(failure.cause), .fix(failure.fix))
    }
  }

  private nonisolated func report(_ flow: DatagramFlowReport) {
    let traffic = flow.traffic
    if traffic.refused > 0 {
      log.warning(
        "udp flow refused", .flow(Int64(flow.number)), .count(Int64(traffic.refused)),
        .cause("nothing listens at the shared service"),
        .fix("start the service, or share the port that it listens on"))
    }
    log.debug(
      "udp flow ended", .flow(Int64(flow.number)), .datagramsSent(traffic.sent),
      .datagramsReceived(traffic.received), .datagramsDropped(traffic.dropped),
      .bytesSent(traffic.bytesSent), .bytesReceived(traffic.bytesReceived),
      .cause(Describe.ending(flow.ending)))
  }

  private nonisolated func report(_ flow: FlowReport) {
    if let problem = Describe.problem(flow.ending) {
      log.warning("flow failed", .flow(flow.number), .cause(problem.cause), .fix(problem.fix))
    } else {
      log.debug(
        "flow ended", .flow(flow.number), .bytesSent(flow.bytesSent),
        .bytesReceived(flow.bytesReceived), .cause(Describe.ending(flow.ending)))
    }
  }
}

/// Where a task on the loop leaves its result for the thread that ran the loop.
private final class Box: Sendable {
  private let result = Lock<Result<ExitCode, Failure>?>(nil)

  func set(_ value: Result<ExitCode, Failure>) {
    result.withLock { $0 = value }
  }

  func get() throws(Failure) -> ExitCode {
    guard let result = result.withLock({ $0 }) else { return .internalError }
    return try result.get()
  }
}
