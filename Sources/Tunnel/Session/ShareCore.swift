internal import QuicTransport

/// The sharing side, sans-I/O: lets sessions in and joins their flows to the targets.
final class ShareCore {
  private let endpoint: EndpointCore
  private let registry: PathRegistry
  /// Takes carriers over TCP; its connections are handed in by the owner of the listener.
  let carriers: CarrierListener
  private let loop: any EventLoop
  private let gate: Gate
  private let routes: [String: ServiceRoute]
  private let services: [ControlMessage.Service]
  private let connect: IncomingFlow.Connect
  private let finder: TargetFinder
  /// By the name of their service.
  private let datagramGoals: [String: DatagramTargets.Goal]
  private let connectDatagrams: TargetDatagrams.Connect
  private let udpTimeout: Duration
  private let gather = DatagramGather()
  private let onEvent: (TunnelEvent) -> Void
  /// Where peers may have us listen; nil for nowhere.
  var reverseOffer: ReverseOffer?
  /// Whether HTTP requests that pass are told of.
  var watchesRequests = false
  private var sessions: [ObjectIdentifier: Admitted] = [:]
  /// Armed while sessions are open.
  private var watchTimer: LoopTimer?
  /// Of the sessions that are not open yet.
  private var strangers = SourceTally()
  /// Sessions of silent peers that are kept: a few megabytes, and more than come back at once. Tests
  /// make do with fewer.
  var dormantMax = 256
  /// The session that was opened last.
  private weak var newest: SessionCore?
  private var totals = TunnelTotals()
  private var isDraining = false
  /// Called once, when the last session was finished while draining.
  private var drained: (() -> Void)?
  /// The session that was open last was told that everything is with the peer's programs.
  private(set) var isConfirmed = false

  private struct Admitted {
    let session: SessionCore
    /// Where it began; its place among the strangers.
    let source: SocketAddress
    /// The peer's real address as it was last known: a carrier may close before its session ends.
    var remote: SocketAddress
    var isOpen = false
    /// The services that its flows may name.
    var routes: [String: ServiceRoute] = [:]
    var flows: [Int64: any Flow] = [:]
    /// What it had us listen for.
    var listeners: ServedListeners?
  }

  /// - Parameters:
  ///   - services: what is offered; `Service.countMax` at most, no name twice.
  ///   - udpTimeout: how long a UDP flow may be idle.
  ///   - connect: opens a connection to one address of a target.
  ///   - connectDatagrams: the same for UDP; without an address, a socket for any.
  ///   - finder: looks up what dialers name, for dynamic services.
  init(
    endpoint: EndpointCore, registry: PathRegistry, carriers: CarrierListener,
    loop: any EventLoop, gate: Gate, services: [Service], udpTimeout: Duration,
    connect: @escaping IncomingFlow.Connect, connectDatagrams: @escaping TargetDatagrams.Connect,
    finder: TargetFinder,
    onEvent: @escaping (TunnelEvent) -> Void
  ) {
    self.endpoint = endpoint
    self.registry = registry
    self.carriers = carriers
    self.loop = loop
    self.gate = gate
    precondition(services.count <= Service.countMax)
    routes = Dictionary(uniqueKeysWithValues: services.map { ($0.name, $0.route) })
    self.services = services.map(\.announcement)
    datagramGoals = Dictionary(
      uniqueKeysWithValues: services.map { ($0.name, DatagramTargets.Goal($0.target)) })
    self.connect = connect
    self.finder = finder
    self.connectDatagrams = connectDatagrams
    self.udpTimeout = udpTimeout
    self.onEvent = onEvent
    endpoint.admits = { [weak self] path in self?.admits(path) ?? false }
    endpoint.onIncoming = { [weak self] connection in self?.admit(connection) }
    gate.onProblem = { onEvent(.accessFileUnusable($0)) }
  }

  /// How visitors of public places reach the services: as peers do.
  var publicTargets: PublicPlaces.Targets {
    PublicPlaces.Targets(
      connect: connect, connectDatagrams: connectDatagrams, udpTimeout: udpTimeout,
      watchesRequests: watchesRequests)
  }

  var statistics: TunnelTotals {
    var totals = totals
    for admitted in sessions.values { totals.note(admitted.session.datagrams) }
    if let newest, case .open = newest.state {
      totals.connection = newest.connection.statistics
      totals.path = newest.paths.map { describe($0.activePath.path) }
    }
    return totals
  }

  /// Takes no more sessions and flows; calls `completion` when those that are open have ended, at
  /// both ends.
  func drain(completion: @escaping () -> Void) {
    isDraining = true
    drained = completion
    for admitted in sessions.values {
      admitted.session.sayGoodbye(reason: Self.drainReason)
      admitted.listeners?.close()
      finishIfIdle(admitted)
    }
    endDrainIfDone()
  }

  /// Tries to reach the target of a service; calls `completion` once with 0 or an `errno`.
  func probeTarget(of service: String, completion: @escaping (Int32) -> Void) {
    // A UDP server cannot be asked without saying something to it.
    guard case .addresses(let addresses)? = routes[service]?.goal else { return completion(0) }
    let probe = TargetProbe(addresses: addresses, loop: loop, connect: connect)
    probe.run(completion)
  }

  /// Ends everything now.
  func close() {
    isDraining = true
    if let watchTimer { loop.cancel(watchTimer) }
    for admitted in sessions.values {
      for flow in admitted.flows.values { flow.abort(code: TunnelCode.sessionEnding) }
      let code =
        admitted.session.isFinished ? TunnelCode.drained : TunnelCode.shuttingDown
      admitted.session.close(code: code, reason: "the sharing side stopped")
    }
    endpoint.close(code: TunnelCode.shuttingDown, reason: "the sharing side stopped")
    carriers.close()
  }

  /// Whoever has shown no ticket yet shares these places, for seconds each.
  private func admits(_ path: NetworkPath) -> Bool {
    strangers.total < Self.strangersMax
      && strangers.count(of: describe(path).remote) < Self.strangersPerSourceMax
  }

  private func admit(_ connection: ConnectionCore) {
    let remote = describe(connection.currentPath).remote
    let session = SessionCore(
      accepting: connection, endpoint: endpoint, registry: registry, gate: gate, source: remote,
      services: services, loop: loop)
    session.owner = self
    session.offersListening = reverseOffer != nil
    sessions[ObjectIdentifier(session)] = Admitted(
      session: session, source: remote, remote: remote)
    strangers.add(remote)
  }

  // MARK: Access

  private func watch() {
    guard gate.needsWatch, watchTimer?.isArmed != true else { return }
    let timer = LoopTimer { [weak self] _ in self?.sendAwayTheUnwelcome() }
    watchTimer = timer
    loop.schedule(timer, at: loop.now + Self.watchInterval)
  }

  /// Closes the sessions whose ticket was revoked or has expired, or whose peer is not on the list
  /// any more.
  private func sendAwayTheUnwelcome() {
    gate.refresh()
    for admitted in Array(sessions.values) {
      guard let admission = admitted.session.admission,
        let refusal = gate.standing(of: admission)
      else { continue }
      admitted.session.close(code: refusal.code, reason: refusal.reason)
    }
    if sessions.values.contains(where: \.isOpen) { watch() }
  }

  // MARK: Flows

  private func begin(_ flow: any Flow, of session: SessionCore) {
    totals.flows += 1
    totals.flowsOpen += 1
    sessions[ObjectIdentifier(session)]?.flows[flow.number] = flow
    onEvent(.flowOpened(number: flow.number))
    if isDraining { flow.abort(code: TunnelCode.sessionEnding) } else { flow.start() }
  }

  private func serveListeners(of session: SessionCore) {
    let listeners = ServedListeners(
      offer: session.mayListen ? reverseOffer : nil, onEvent: onEvent
    ) { [weak self, weak session] socket, wish in
      guard let self, let session else { return socket.close(resetting: true) }
      pass(socket, wish, to: session)
    }
    session.reverse = listeners
    sessions[ObjectIdentifier(session)]?.listeners = listeners
  }

  /// Somebody connected to a listener of the session's peer.
  private func pass(_ socket: any StreamSocket, _ wish: FlowWish, to session: SessionCore) {
    do throws(StreamError) {
      let flow = try OutgoingFlow(
        connection: session.connection, wish: wish, socket: socket, loop: loop
      ) { [weak self, weak session] report in
        if let session { self?.flowEnded(session, report) }
      }
      begin(flow, of: session)
    } catch {
      // The peer's limit. It holds these streams for us alone, so there is nothing to wait for.
      socket.close(resetting: true)
      if error == .limitReached { onEvent(.flowLimitReached) }
    }
  }

  // MARK: Ends

  /// The UDP flows of a session, each with a socket of its own.
  private func datagramFlows(of session: SessionCore) -> DatagramFlows {
    // In the order of this session's WELCOME, which may leave services out.
    let goals = session.services.map { datagramGoals[$0.name] ?? .none }
    let targets = DatagramTargets(
      goals: goals, connect: connectDatagrams, finder: finder, gather: gather, loop: loop)
    let onEvent = self.onEvent
    return DatagramFlows(
      connection: session.connection, isSharing: true, timeout: udpTimeout, loop: loop,
      gather: gather,
      open: { [weak self] service in
        self?.isDraining == false ? targets.open(service) : nil
      },
      began: { onEvent(.datagramFlowOpened(number: $0)) },
      ended: { onEvent(.datagramFlowEnded($0)) })
  }

  private func flowEnded(_ session: SessionCore, _ report: FlowReport) {
    sessions[ObjectIdentifier(session)]?.flows[report.number] = nil
    totals.flowsOpen -= 1
    totals.note(report)
    onEvent(.flowEnded(report))
    if let admitted = sessions[ObjectIdentifier(session)] { finishIfIdle(admitted) }
    endDrainIfDone()
  }

  private func reportRefusal(of source: SocketAddress, _ error: QuicError) {
    var code: UInt64?
    if case .application(let number, false, _) = error { code = number }
    guard gate.isWorthTelling(code: code, of: source, now: loop.now) else { return }
    onEvent(.sessionRefused(remote: source, reason: error))
  }

  private func describe(_ path: NetworkPath) -> SessionPath {
    SessionPath(
      carrier: CarrierKind(path),
      remote: carriers.remote(of: path) ?? registry.relay(of: path) ?? path.remote)
  }

  /// Whom the flows of a session come from, as a target may be told.
  private func origin(of session: SessionCore) -> ProxyProtocol.Origin {
    let path = session.paths?.activePath.path ?? session.connection.currentPath
    return ProxyProtocol.Origin(
      source: describe(path).remote, destination: carriers.local(of: path) ?? path.local,
      identity: session.connection.peer)
  }

  private func finishIfIdle(_ admitted: Admitted) {
    guard isDraining || admitted.session.peerFinished, admitted.flows.isEmpty else { return }
    admitted.session.sayFinished()
  }

  private func endDrainIfDone() {
    guard isDraining, let drained else { return }
    guard sessions.values.allSatisfy({ !$0.isOpen || $0.session.isFinished }) else { return }
    self.drained = nil
    drained()
  }

  /// Room for a new session: peers that are gone for good keep theirs for hours, so those that have
  /// been silent longest go first.
  private func evictDormant(keeping session: SessionCore) {
    let dormant = sessions.values.map(\.session).filter {
      $0 !== session && $0.paths?.outage != nil
    }
    guard dormant.count > dormantMax else { return }
    let oldest = dormant.min { left, right in
      (left.paths?.outage?.since ?? .distantFuture) < (right.paths?.outage?.since ?? .distantFuture)
    }
    oldest?.close(code: TunnelCode.dormant, reason: "silent for too long")
  }

  /// The machine woke up, or its addresses or routes changed.
  func lookAgain() {
    for admitted in sessions.values { admitted.session.paths?.lookAgain(now: loop.now) }
  }

  var report: TunnelReport {
    let now = loop.now
    let open = sessions.values.filter(\.isOpen).sorted {
      ($0.session.openedAt ?? now) < ($1.session.openedAt ?? now)
    }
    let reports = open.prefix(TunnelReport.sessionsMax).compactMap { admitted in
      let flows = admitted.flows.values.sorted { $0.number < $1.number }
      return admitted.session.report(
        path: describe(admitted.session.currentRoad),
        flows: flows.prefix(SessionReport.flowsMax).map { $0.status(now: now) },
        flowsOpen: flows.count)
    }
    return TunnelReport(totals: statistics, sessions: reports, isDialling: false)
  }

  private static let strangersMax = 256
  /// One stat(2) for each file; a revocation has to take effect within five seconds.
  private static let watchInterval = Duration.seconds(1)
  /// Users behind one address who connect at the same moment.
  private static let strangersPerSourceMax = 64
  private static let drainReason = "the sharing side is about to stop"
}

extension ShareCore: SessionOwner {
  func sessionOpened(_ session: SessionCore) {
    carriers.admit(session.connection.currentPath)
    if isDraining {
      session.close(code: TunnelCode.shuttingDown, reason: Self.drainReason)
      return
    }
    if let admitted = sessions[ObjectIdentifier(session)] { strangers.remove(admitted.source) }
    sessions[ObjectIdentifier(session)]?.isOpen = true
    sessions[ObjectIdentifier(session)]?.routes = routes.filter {
      session.admission?.allows(service: $0.key) == true
    }
    serveListeners(of: session)
    watch()
    session.datagrams = datagramFlows(of: session)
    newest = session
    totals.sessions += 1
    totals.sessionsOpen += 1
    evictDormant(keeping: session)
    let connection = session.connection
    onEvent(
      .sessionOpened(
        peer: connection.peer, path: describe(connection.currentPath),
        rtt: connection.statistics.smoothedRTT))
  }

  func session(_ session: SessionCore, opened stream: StreamCore) {
    let routes = sessions[ObjectIdentifier(session)]?.routes ?? [:]
    let unknownCode =
      session.admission?.grant == nil ? TunnelCode.unknownService : TunnelCode.notInScope
    let flow = IncomingFlow(
      stream: stream, router: .services(routes, unknownCode: unknownCode),
      origin: origin(of: session), loop: loop, connect: connect, finder: finder
    ) { [weak self, weak session] report in
      if let session { self?.flowEnded(session, report) }
    }
    if watchesRequests { flow.onRequest = { [onEvent] in onEvent(.request($0)) } }
    begin(flow, of: session)
  }

  func session(_ session: SessionCore, saidGoodbye reason: String) {
    // It takes no more flows.
    sessions[ObjectIdentifier(session)]?.listeners?.close()
    onEvent(.peerDraining(reason: reason))
  }

  func sessionFinished(_ session: SessionCore) {
    if session.isConfirmed { isConfirmed = true }
    if let admitted = sessions[ObjectIdentifier(session)] { finishIfIdle(admitted) }
    endDrainIfDone()
  }

  func sessionAllowsFlows(_ session: SessionCore) {}

  func sessionWantsAlternatives(_ session: SessionCore) {}

  func sessionIsSure(_ session: SessionCore) {}

  func session(_ session: SessionCore, silentFor time: Duration) {
    onEvent(.sessionSilent(peer: session.connection.peer, for: time))
    evictDormant(keeping: session)
  }

  func session(_ session: SessionCore, returnedAfter time: Duration) {
    onEvent(.sessionReturned(peer: session.connection.peer, after: time))
  }

  /// A number can only come from the session itself, but one identity may not end another's.
  func session(_ session: SessionCore, lost number: SessionID) {
    let old = sessions.values.map(\.session).first {
      $0 !== session && $0.paths?.keys.session == number
        && $0.connection.peer == session.connection.peer
    }
    old?.close(code: TunnelCode.replaced, reason: "the peer opened another session")
  }

  func session(_ session: SessionCore, movedTo path: NetworkPath, because reason: SwitchReason) {
    totals.switches += 1
    let path = describe(path)
    sessions[ObjectIdentifier(session)]?.remote = path.remote
    onEvent(.sessionMoved(path: path, reason: reason))
  }

  func session(_ session: SessionCore, ended error: QuicError) {
    guard let admitted = sessions[ObjectIdentifier(session)] else { return }
    if session.isConfirmed { isConfirmed = true }
    admitted.listeners?.close()
    // The flows hear of it first, each through its own stream.
    for flow in admitted.flows.values { flow.abort(code: TunnelCode.sessionEnding) }
    sessions[ObjectIdentifier(session)] = nil
    totals.note(session.datagrams)
    let remote = admitted.remote
    if admitted.isOpen {
      totals.sessionsOpen -= 1
      totals.connection = session.connection.statistics
      onEvent(.sessionEnded(peer: session.connection.peer, remote: remote, reason: error))
    } else {
      strangers.remove(admitted.source)
      reportRefusal(of: admitted.source, error)
    }
    endDrainIfDone()
  }
}

extension TunnelTotals {
  /// Adds a flow that ended.
  mutating func note(_ report: FlowReport) {
    bytesSent += report.bytesSent
    bytesReceived += report.bytesReceived
    if case .targetRefused = report.ending { flowsRefused += 1 }
    switch report.ending {
    case .finished, .remoteReset, .localFailure: break
    case .targetRefused, .targetUnreachable, .targetBusy, .targetNotAllowed, .nameNotFound,
      .sessionLost, .rejected:
      flowsFailed += 1
    }
  }
}
