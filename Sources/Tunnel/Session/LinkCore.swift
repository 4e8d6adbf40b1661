internal import QuicTransport

/// The connecting side, sans-I/O: dials a ticket's addresses and turns local connections into flows.
///
///     dialling --first session open--> open --session gone, may come back-.
///       |   ^                            '--drain, or gone for good--> over |
///       |   '--delay, network changed-- resting <---------------------------'
///       '--every way failed: resting, or over
///
/// When to rest and when to end is `RetryPolicy`'s. Local connections that come while there is no
/// session wait for one, so many and so long.
final class LinkCore {
  private let endpoint: EndpointCore
  private let loop: any EventLoop
  private let ticket: Ticket
  private let onEvent: (TunnelEvent) -> Void
  private let opened: () -> Void
  private let over: (TunnelError) -> Void
  private var state = State.dialling
  private var dialled: [SessionCore] = []
  private var failures: [QuicError] = []
  private let plan: DialPlan
  private let policy: CarrierPolicy
  private let registry: PathRegistry
  private let dialer: CarrierDialer
  private var nextAttempt = 0
  private var pendingCarriers = 0
  private var dialTimer: LoopTimer?
  private let retry: RetryPolicy
  /// Draws from 0 to 1.
  private let random: () -> Double
  /// Attempts that failed since a session held.
  private var failedAttempts = 0
  /// Tells the answers of an earlier attempt from those of this one.
  private var round = 0
  private var hasOpened = false
  /// The session that was lost; the sharing side is told, so that it need not keep it.
  private var lostSession: SessionID?
  private var waitTimer: LoopTimer?
  private var flows: [Int64: OutgoingFlow] = [:]
  /// Accepted before the session was open, or while the peer allows no more flows.
  private var waiting: [Waiting] = []
  private var totals = TunnelTotals()
  private var isDraining = false
  private var drained: (() -> Void)?
  /// The peer said that everything is with its programs.
  private(set) var isConfirmed = false

  private enum State {
    case dialling
    case open(SessionCore)
    /// Until the dial timer fires.
    case resting
    case over
  }

  private struct Waiting {
    let socket: any StreamSocket
    let service: String
    let deadline: Instant
  }

  /// - Parameters:
  ///   - random: draws a number from 0 to 1.
  ///   - opened: called once, when the first session is open.
  ///   - over: called once, when there is none any more and will be none, with the reason.
  init(
    endpoint: EndpointCore, registry: PathRegistry, dialer: CarrierDialer,
    loop: any EventLoop, ticket: Ticket, policy: CarrierPolicy, retry: RetryPolicy,
    random: @escaping () -> Double, onEvent: @escaping (TunnelEvent) -> Void,
    opened: @escaping () -> Void,
    over: @escaping (TunnelError) -> Void
  ) {
    self.endpoint = endpoint
    self.loop = loop
    self.ticket = ticket
    self.registry = registry
    self.dialer = dialer
    self.policy = policy
    self.retry = retry
    self.random = random
    plan = DialPlan(addresses: ticket.addresses, policy: policy)
    self.onEvent = onEvent
    self.opened = opened
    self.over = over
  }

  /// Begins to dial; every call of `opened` and `over` comes later, from the loop.
  func start() {
    beginRound()
  }

  /// The machine woke up, or its addresses or routes changed: looks at every path, or dials, at once.
  func lookAgain() {
    switch state {
    case .open(let session):
      if let paths = session.paths {
        addAddresses(to: paths)
        paths.lookAgain(now: loop.now)
      }
    case .resting:
      failedAttempts = 0
      beginRound()
    case .dialling, .over: break
    }
  }

  /// The session, once it is open.
  var openSession: SessionCore? {
    if case .open(let session) = state { session } else { nil }
  }

  var statistics: TunnelTotals {
    var totals = totals
    if case .open(let session) = state {
      totals.connection = session.connection.statistics
      totals.path = session.paths.map { describe($0.activePath.path) }
    }
    return totals
  }

  /// What the sharing side offers; empty before the session is open.
  var services: [ControlMessage.Service] {
    if case .open(let session) = state { session.services } else { [] }
  }

  /// Makes a flow of a local connection to the service of that name.
  func accept(_ socket: any StreamSocket, service: String) {
    if case .over = state { return socket.close(resetting: true) }
    guard !isDraining, waiting.count < Self.waitingMax else {
      socket.close(resetting: true)
      if !isDraining { onEvent(.flowLimitReached) }
      return
    }
    waiting.append(
      Waiting(socket: socket, service: service, deadline: loop.now + Self.waitingTime))
    openWaiting()
    armWaitTimer()
  }

  /// Takes no more local connections; calls `completion` when the flows have ended, at both ends.
  func drain(completion: @escaping () -> Void) {
    isDraining = true
    drained = completion
    discardWaiting()
    if case .open(let session) = state {
      session.sayGoodbye(reason: "the connecting side is about to stop")
    }
    finishIfIdle()
    endDrainIfDone()
  }

  /// Ends everything now; whoever waits for the end hears of it.
  func close() {
    isDraining = true
    discardWaiting()
    for flow in flows.values { flow.abort(code: TunnelCode.sessionEnding) }
    var finished: SessionCore?
    if case .open(let session) = state {
      totals.connection = session.connection.statistics
      totals.sessionsOpen = 0
      if session.isFinished { finished = session }
    }
    end(.ended(Self.closeReason))
    finished?.close(code: TunnelCode.drained, reason: Self.closeReason)
    endpoint.close(code: TunnelCode.done, reason: Self.closeReason)
    dialer.discardAll()
  }

  private static let closeReason = "the connecting side stopped"

  // MARK: Dialling

  private func beginRound() {
    state = .dialling
    round += 1
    nextAttempt = 0
    pendingCarriers = 0
    failures.removeAll()
    dialled.removeAll()
    dialNext(after: .zero)
  }

  /// A round failed, or a session is gone: another round follows, or the end.
  private func restOrEnd(_ error: TunnelError) {
    failedAttempts += 1
    guard !isDraining, error.mayHeal, hasOpened || retry.includesFirst,
      failedAttempts <= retry.attemptsMax ?? .max
    else { return end(error) }
    state = .resting
    let delay = RetryPolicy.delay(attempt: failedAttempts, jitter: random())
    onEvent(.retrying(attempt: failedAttempts, after: delay, because: error))
    let timer = LoopTimer { [weak self] _ in self?.beginRound() }
    replaceDialTimer(timer, at: loop.now + delay)
    armWaitTimer()
  }

  private func dialNext() {
    guard case .dialling = state else { return }
    guard nextAttempt < plan.attempts.count else { return giveUpIfDone() }
    let attempt = plan.attempts[nextAttempt]
    nextAttempt += 1
    if attempt.kind == .udp {
      dial(attempt.address, over: nil)
    } else {
      pendingCarriers += 1
      let round = round
      dialer.open(attempt.address, kind: attempt.kind) { [weak self] carrier in
        self?.carrierSettled(carrier, address: attempt.address, of: round)
      }
    }
    let next = nextAttempt < plan.attempts.count ? plan.attempts[nextAttempt].delay : attempt.delay
    dialNext(after: next - attempt.delay)
  }

  private func dialNext(after delay: Duration) {
    replaceDialTimer(LoopTimer { [weak self] _ in self?.dialNext() }, at: loop.now + delay)
  }

  private func replaceDialTimer(_ timer: LoopTimer, at deadline: Instant) {
    if let dialTimer { loop.cancel(dialTimer) }
    dialTimer = timer
    loop.schedule(timer, at: deadline)
  }

  private func carrierSettled(_ carrier: StreamCarrier?, address: SocketAddress, of round: Int) {
    guard round == self.round else {
      if let carrier { dialer.discard(carrier.path) }
      return
    }
    pendingCarriers -= 1
    guard let carrier else { return giveUpIfDone() }
    guard case .dialling = state else { return dialer.discard(carrier.path) }
    dial(address, over: carrier.path)
  }

  private func dial(_ address: SocketAddress, over path: NetworkPath?) {
    do throws(QuicError) {
      let target = ConnectTarget(
        address: address, expectedPeer: ticket.identity, serverName: nil)
      let session = try SessionCore(
        dialing: target, over: path, endpoint: endpoint, registry: registry,
        capability: ticket.capability, loop: loop)
      session.owner = self
      dialled.append(session)
    } catch {
      failures.append(error)
    }
  }

  private func giveUpIfDone() {
    guard case .dialling = state, dialled.isEmpty, pendingCarriers == 0,
      nextAttempt >= plan.attempts.count
    else { return }
    restOrEnd(worstFailure)
  }

  /// What the user can act on comes first; silence says least.
  private var worstFailure: TunnelError {
    let errors = failures.map(TunnelError.init)
    let telling = errors.first { error in
      switch error {
      case .lost: false
      default: true
      }
    }
    return telling ?? .unreachable(ticket.addresses)
  }

  private func end(_ error: TunnelError) {
    if case .over = state { return }
    state = .over
    if let dialTimer { loop.cancel(dialTimer) }
    discardWaiting()
    over(error)
    endDrainIfDone()
  }

  private func discardWaiting() {
    for program in waiting { program.socket.close(resetting: true) }
    waiting.removeAll()
    if let waitTimer { loop.cancel(waitTimer) }
    waitTimer = nil
  }

  /// While there is no session, nobody waits for ever. Those that came first wait longest.
  private func armWaitTimer() {
    guard waitTimer == nil, let first = waiting.first, openSession == nil else { return }
    let timer = LoopTimer { [weak self] now in
      self?.waitTimer = nil
      self?.discardOverdue(now: now)
    }
    waitTimer = timer
    loop.schedule(timer, at: first.deadline)
  }

  private func discardOverdue(now: Instant) {
    guard openSession == nil else { return }
    while let first = waiting.first, first.deadline <= now {
      waiting.removeFirst()
      first.socket.close(resetting: true)
    }
    armWaitTimer()
  }

  // MARK: Flows

  private func openWaiting() {
    guard case .open(let session) = state else { return }
    while let first = waiting.first {
      do throws(StreamError) {
        let flow = try OutgoingFlow(
          connection: session.connection, service: first.service, socket: first.socket,
          now: loop.now
        ) { [weak self] report in
          self?.flowEnded(report)
        }
        waiting.removeFirst()
        totals.flows += 1
        totals.flowsOpen += 1
        flows[flow.number] = flow
        onEvent(.flowOpened(number: flow.number))
        flow.start()
      } catch {
        // The peer's limit: `sessionAllowsFlows` tells when there is room again.
        if error == .limitReached { return }
        waiting.removeFirst()
        first.socket.close(resetting: true)
      }
    }
  }

  private func flowEnded(_ report: FlowReport) {
    flows[report.number] = nil
    totals.flowsOpen -= 1
    totals.note(report)
    onEvent(.flowEnded(report))
    finishIfIdle()
    endDrainIfDone()
  }

  private func finishIfIdle() {
    guard case .open(let session) = state, flows.isEmpty else { return }
    if isDraining || session.peerFinished { session.sayFinished() }
  }

  private func endDrainIfDone() {
    guard isDraining, flows.isEmpty, let drained else { return }
    if case .open(let session) = state, !session.isFinished { return }
    self.drained = nil
    drained()
  }

  /// Local connections that wait for the session or for the peer's permission.
  private static let waitingMax = 1_024
  /// A program that gets no answer for longer has mostly given up itself.
  private static let waitingTime = Duration.seconds(30)
  /// A session that held for so long was none that fails at once, time and again.
  private static let holdsAfter = Duration.seconds(5)
}

extension LinkCore {
  var report: TunnelReport {
    guard let session = openSession else {
      return TunnelReport(totals: statistics, sessions: [], isDialling: true)
    }
    let now = loop.now
    let open = flows.values.sorted { $0.number < $1.number }
    let report = session.report(
      path: describe(session.currentRoad),
      flows: open.prefix(SessionReport.flowsMax).map { $0.status(now: now) },
      flowsOpen: open.count)
    return TunnelReport(totals: statistics, sessions: report.map { [$0] } ?? [], isDialling: false)
  }
}

extension LinkCore: SessionOwner {
  func sessionOpened(_ session: SessionCore) {
    guard case .dialling = state, dialled.contains(where: { $0 === session }) else {
      session.close(code: TunnelCode.superfluous, reason: "another address was faster")
      return
    }
    state = .open(session)
    if let dialTimer { loop.cancel(dialTimer) }
    for other in dialled where other !== session {
      let path = other.connection.currentPath
      other.close(code: TunnelCode.superfluous, reason: "another address was faster")
      dialer.discard(path)
    }
    totals.sessions += 1
    totals.sessionsOpen = 1
    let connection = session.connection
    onEvent(
      .sessionOpened(
        peer: connection.peer, path: describe(connection.currentPath),
        rtt: connection.statistics.smoothedRTT))
    if let lostSession { session.sayLost(lostSession) }
    lostSession = nil
    if !hasOpened {
      hasOpened = true
      opened()
    }
    openWaiting()
  }

  func session(_ session: SessionCore, opened stream: StreamCore) {}

  func session(_ session: SessionCore, saidGoodbye reason: String) {
    onEvent(.peerDraining(reason: reason))
  }

  func sessionFinished(_ session: SessionCore) {
    isConfirmed = session.isConfirmed
    finishIfIdle()
    endDrainIfDone()
  }

  func sessionAllowsFlows(_ session: SessionCore) {
    openWaiting()
  }

  func session(_ session: SessionCore, lost number: SessionID) {}

  func session(_ session: SessionCore, silentFor time: Duration) {
    onEvent(.sessionSilent(peer: session.connection.peer, for: time))
  }

  func session(_ session: SessionCore, returnedAfter time: Duration) {
    onEvent(.sessionReturned(peer: session.connection.peer, after: time))
  }

  /// Opens what the session does not have: TCP beside UDP, UDP beside TCP.
  func sessionWantsAlternatives(_ session: SessionCore) {
    guard let paths = session.paths else { return }
    let needsCarrier = paths.activePath.kind == .udp || !paths.activePath.isValidated
    for address in ticket.addresses {
      if needsCarrier, policy.allows(.tcp) {
        dialer.open(address, kind: .tcp) { [weak paths] carrier in
          if let carrier { paths?.add(carrier.path, kind: carrier.kind) }
        }
      }
    }
    if paths.activePath.kind != .udp { addAddresses(to: paths) }
  }

  /// UDP from the addresses that this machine has now.
  private func addAddresses(to paths: PathManager) {
    guard policy.allows(.udp) else { return }
    for address in ticket.addresses {
      guard let local = endpoint.sourceAddress(towards: address) else { continue }
      paths.add(NetworkPath(local: local, remote: address), kind: .udp)
    }
  }

  func session(_ session: SessionCore, movedTo path: NetworkPath, because reason: SwitchReason) {
    totals.switches += 1
    onEvent(.sessionMoved(path: describe(path), reason: reason))
  }

  private func describe(_ path: NetworkPath) -> SessionPath {
    SessionPath(carrier: CarrierKind(path), remote: dialer.remote(of: path) ?? path.remote)
  }

  func session(_ session: SessionCore, ended error: QuicError) {
    if case .open(let current) = state, current === session { return currentEnded(session, error) }
    guard dialled.contains(where: { $0 === session }) else { return }
    dialled.removeAll { $0 === session }
    failures.append(error)
    giveUpIfDone()
  }

  private func currentEnded(_ session: SessionCore, _ error: QuicError) {
    totals.sessionsOpen = 0
    totals.connection = session.connection.statistics
    for flow in flows.values { flow.abort(code: TunnelCode.sessionEnding) }
    let road = describe(session.currentRoad)
    onEvent(
      .sessionEnded(peer: session.connection.peer, remote: road.remote, reason: error))
    isConfirmed = session.isConfirmed
    // Whatever road it was on is nobody's now, and a carrier would stand in the way of a new one.
    dialer.discardAll()
    lostSession = session.paths?.keys.session
    if let openedAt = session.openedAt, loop.now - openedAt >= Self.holdsAfter {
      failedAttempts = 0
    }
    restOrEnd(TunnelError(error))
    endDrainIfDone()
  }
}
