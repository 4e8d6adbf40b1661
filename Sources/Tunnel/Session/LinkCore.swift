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
  let endpoint: EndpointCore
  let loop: any EventLoop
  let ticket: Ticket
  private let onEvent: (TunnelEvent) -> Void
  private let opened: () -> Void
  private let over: (TunnelError) -> Void
  private var state = State.dialling
  let policy: CarrierPolicy
  let registry: PathRegistry
  let dialer: CarrierDialer
  private let race: DialRace
  /// Whether sessions may go directly, through a relay, or either way; set before `start`.
  var path = PathPolicy.automatic { didSet { race.path = path } }
  /// How long the start waits for a direct path; nil for not at all. Set before `start`.
  var waitDirect: Duration?
  private lazy var hold = StartHold(patience: waitDirect, loop: loop) { [weak self] in
    self?.released(isLate: $0)
  }
  /// Paces what a session on a relay tries besides UDP.
  var directSearch = DirectSearch()
  /// Another way to the peer; set before `start`.
  var meeting: LinkMeeting? {
    didSet {
      meeting?.onRoad = { [weak self] in self?.roadFound($0) }
      meeting?.onHopeless = { [weak self] in self?.giveUpIfDone() }
      meeting?.session = self
    }
  }
  private let udpTimeout: Duration
  /// Through which datagrams reach local programs.
  let gather = DatagramGather()
  /// Found by others: through a relay, or punched.
  private var roads: [NetworkPath] = []
  private var restTimer: LoopTimer?
  private let retry: RetryPolicy
  /// Draws from 0 to 1.
  private let random: () -> Double
  /// Attempts that failed since a session held.
  private var failedAttempts = 0
  private var hasOpened = false
  /// The session that was lost; the sharing side is told, so that it need not keep it.
  private var lostSession: SessionID?
  private(set) var flows: [Int64: any Flow] = [:]
  /// What the sharing side is asked to listen for; set before `start`, if at all.
  var remoteListeners: RemoteListeners?
  /// Accepted before the session was open, or while the peer allows no more flows.
  private let waiting: WaitingPrograms
  private var totals = TunnelTotals()
  private(set) var isDraining = false
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

  /// - Parameters:
  ///   - random: draws a number from 0 to 1.
  ///   - opened: called once, when the first session is open.
  ///   - over: called once, when there is none any more and will be none, with the reason.
  init(
    endpoint: EndpointCore, registry: PathRegistry, dialer: CarrierDialer,
    loop: any EventLoop, ticket: Ticket, policy: CarrierPolicy, retry: RetryPolicy,
    udpTimeout: Duration, random: @escaping () -> Double,
    onEvent: @escaping (TunnelEvent) -> Void, opened: @escaping () -> Void,
    over: @escaping (TunnelError) -> Void
  ) {
    self.endpoint = endpoint
    self.loop = loop
    self.ticket = ticket
    self.registry = registry
    self.dialer = dialer
    self.policy = policy
    self.udpTimeout = udpTimeout
    self.retry = retry
    self.random = random
    waiting = WaitingPrograms(loop: loop)
    self.onEvent = onEvent
    self.opened = opened
    self.over = over
    race = DialRace(
      endpoint: endpoint, registry: registry, dialer: dialer, loop: loop, ticket: ticket,
      policy: policy)
    race.owner = self
    race.onExhausted = { [weak self] in self?.giveUpIfDone() }
  }

  /// Begins to dial; every call of `opened` and `over` comes later, from the loop.
  func start() {
    hold.begin()
    beginRound()
  }

  /// Programs may come.
  private func released(isLate: Bool) {
    if isLate, let waitDirect { onEvent(.notDirectInTime(waitDirect)) }
    if let openSession { remoteListeners?.ask(openSession) }
    opened()
  }

  /// The machine woke up, or its addresses or routes changed: looks at every path, or dials, at once.
  func lookAgain() {
    directSearch.reset()
    meeting?.networkChanged()
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
      totals.note(session.datagrams)
    }
    return totals
  }

  /// What the sharing side offers; empty before the session is open.
  var services: [ControlMessage.Service] {
    if case .open(let session) = state { session.services } else { [] }
  }

  /// Makes a flow of a local connection.
  func accept(_ socket: any StreamSocket, wish: FlowWish) {
    if case .over = state { return socket.close(resetting: true) }
    guard !isDraining, !waiting.isFull else {
      socket.close(resetting: true)
      if !isDraining { onEvent(.flowLimitReached) }
      return
    }
    waiting.append(socket, wish: wish)
    openWaiting()
  }

  /// Takes no more local connections; calls `completion` when the flows have ended, at both ends.
  func drain(completion: @escaping () -> Void) {
    isDraining = true
    drained = completion
    waiting.discardAll()
    if case .open(let session) = state {
      session.sayGoodbye(reason: "the connecting side is about to stop")
    }
    finishIfIdle()
    endDrainIfDone()
  }

  /// Ends everything now; whoever waits for the end hears of it.
  ///
  /// - Parameter completion: called once what others were asked for has been given back.
  func close(completion: @escaping () -> Void = {}) {
    isDraining = true
    waiting.discardAll()
    for flow in flows.values { flow.abort(code: TunnelCode.sessionEnding) }
    var finished: SessionCore?
    if case .open(let session) = state {
      totals.connection = session.connection.statistics
      totals.sessionsOpen = 0
      session.datagrams?.close()
      totals.note(session.datagrams)
      if session.isFinished { finished = session }
    }
    end(.ended(Self.closeReason))
    finished?.close(code: TunnelCode.drained, reason: Self.closeReason)
    endpoint.close(code: TunnelCode.done, reason: Self.closeReason)
    dialer.discardAll()
    if let meeting { meeting.close(completion: completion) } else { completion() }
  }

  private static let closeReason = "the connecting side stopped"

  // MARK: Dialling

  private func beginRound() {
    // It may have been due later.
    if let restTimer { loop.cancel(restTimer) }
    restTimer = nil
    state = .dialling
    // Legs that stand are not granted again; what was punched is punched anew.
    roads.removeAll { CarrierKind($0) != .relay || registry.relay(of: $0) == nil }
    meeting?.begin()
    race.begin(roads: roads)
  }

  /// A round failed, or a session is gone: another round follows, or the end.
  private func restOrEnd(_ error: TunnelError) {
    failedAttempts += 1
    guard !isDraining, error.mayHeal, hasOpened || retry.includesFirst,
      failedAttempts <= retry.attemptsMax ?? .max
    else { return end(error) }
    state = .resting
    race.stop()
    let delay = RetryPolicy.delay(attempt: failedAttempts, jitter: random())
    onEvent(.retrying(attempt: failedAttempts, after: delay, because: error))
    let timer = LoopTimer { [weak self] _ in self?.beginRound() }
    restTimer = timer
    loop.schedule(timer, at: loop.now + delay)
    waiting.isTimeLimited = true
  }

  /// A road to the peer was found by others: for a session, or for the one that goes another way. One
  /// through a relay is of use beside a direct one as well, for the day that that one fails.
  func roadFound(_ road: NetworkPath) {
    let kind = CarrierKind(road)
    guard allows(kind) else { return }
    // Legs of a relay that is gone lead nowhere.
    roads.removeAll { CarrierKind($0) == .relay && registry.relay(of: $0) == nil }
    if roads.count >= Self.roadsMax { roads.removeFirst() }
    roads.append(road)
    switch state {
    case .dialling: race.dial(road)
    case .open(let session):
      guard let paths = session.paths else { return }
      if kind == .relay || paths.activePath.kind != .udp || paths.isInDoubt || paths.outage != nil {
        paths.add(road, kind: kind)
      }
    case .resting, .over: break
    }
  }

  /// As many as a path manager looks after.
  private static let roadsMax = 8

  /// Whether sessions may use this kind of carrier.
  func allows(_ kind: CarrierKind) -> Bool { path.allows(kind) && policy.allows(kind) }

  private func giveUpIfDone() {
    guard case .dialling = state, race.isExhausted, meeting?.isHopeful != true else { return }
    restOrEnd(worstFailure)
  }

  /// What the user can act on comes first; silence says least.
  private var worstFailure: TunnelError {
    if let failure = race.failure { return failure }
    let silence = TunnelError.unreachable(ticket.addresses)
    guard let problem = meeting?.problem else { return silence }
    // If nobody at all answers, the peer's own addresses are the more interesting ones.
    if case .relaysUnreachable = problem, path.looksForDirect, !ticket.addresses.isEmpty {
      return silence
    }
    return problem
  }

  private func end(_ error: TunnelError) {
    if case .over = state { return }
    state = .over
    remoteListeners?.stop(error)
    race.stop()
    hold.stop()
    if let restTimer { loop.cancel(restTimer) }
    waiting.discardAll()
    over(error)
    endDrainIfDone()
  }

  // MARK: Flows

  private func openWaiting() {
    guard case .open(let session) = state else { return }
    while let first = waiting.first {
      do throws(StreamError) {
        let flow = try OutgoingFlow(
          connection: session.connection, wish: first.wish, socket: first.socket, loop: loop
        ) { [weak self] report in
          self?.flowEnded(report)
        }
        waiting.removeFirst()
        begin(flow)
      } catch {
        // The peer's limit: `sessionAllowsFlows` tells when there is room again.
        if error == .limitReached { return }
        waiting.removeFirst()
        first.socket.close(resetting: true)
      }
    }
  }

  private func begin(_ flow: any Flow) {
    totals.flows += 1
    totals.flowsOpen += 1
    flows[flow.number] = flow
    onEvent(.flowOpened(number: flow.number))
    // Only the peer's own come as late as that.
    if isDraining { flow.abort(code: TunnelCode.sessionEnding) } else { flow.start() }
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

  /// A session that held for so long was none that fails at once, time and again.
  private static let holdsAfter = Duration.seconds(5)
}

extension LinkCore: SessionOwner {
  func sessionOpened(_ session: SessionCore) {
    guard case .dialling = state, race.contains(session) else {
      session.close(code: TunnelCode.superfluous, reason: "another address was faster")
      return
    }
    state = .open(session)
    let onEvent = self.onEvent
    session.datagrams = DatagramFlows(
      connection: session.connection, isSharing: false, timeout: udpTimeout, loop: loop,
      gather: gather, open: { _ in nil },
      began: { onEvent(.datagramFlowOpened(number: $0)) },
      ended: { onEvent(.datagramFlowEnded($0)) })
    race.win(session)
    for road in roads where road != session.connection.currentPath {
      session.paths?.add(road, kind: CarrierKind(road))
    }
    if case .cycling(let interval) = policy { session.paths?.cycleInterval = interval }
    totals.sessions += 1
    totals.sessionsOpen = 1
    let connection = session.connection
    onEvent(
      .sessionOpened(
        peer: connection.peer, path: describe(connection.currentPath),
        rtt: connection.statistics.smoothedRTT))
    meeting?.sessionOpened(isDirect: CarrierKind(connection.currentPath) == .udp)
    if let lostSession { session.sayLost(lostSession) }
    lostSession = nil
    hasOpened = true
    directSearch.reset()
    // Nothing of a user's before that.
    if hold.isReleased { remoteListeners?.ask(session) }
    hold.sessionGoes(by: CarrierKind(connection.currentPath))
    waiting.isTimeLimited = false
    openWaiting()
  }

  /// A program connected to one of our listeners at the sharing side.
  func session(_ session: SessionCore, opened stream: StreamCore) {
    guard let remoteListeners else { return }
    let path = session.connection.currentPath
    begin(
      IncomingFlow(
        stream: stream, router: remoteListeners.router,
        origin: ProxyProtocol.Origin(
          source: describe(path).remote, destination: path.local, identity: nil),
        loop: loop, connect: remoteListeners.connect, finder: nil
      ) { [weak self] report in
        self?.flowEnded(report)
      })
  }

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

  func session(_ session: SessionCore, movedTo path: NetworkPath, because reason: SwitchReason) {
    totals.switches += 1
    switch CarrierKind(path) {
    case .udp: meeting?.sessionOpened(isDirect: true)
    case .relay:
      directSearch.reset()
      meeting?.directPathLost()
    case .tcp, .webSocket: break
    }
    dialer.keepOnly(path)
    onEvent(.sessionMoved(path: describe(path), reason: reason))
    hold.sessionGoes(by: CarrierKind(path))
  }

  func session(_ session: SessionCore, ended error: QuicError) {
    if case .open(let current) = state, current === session { return currentEnded(session, error) }
    if race.contains(session) { race.lose(session, error) }
  }

  private func currentEnded(_ session: SessionCore, _ error: QuicError) {
    hold.sessionEnded()
    totals.sessionsOpen = 0
    totals.connection = session.connection.statistics
    totals.note(session.datagrams)
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
