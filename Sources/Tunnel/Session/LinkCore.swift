internal import QuicTransport

/// The connecting side, sans-I/O: dials a ticket's addresses and turns local connections into flows.
///
///     dialling --first session open--> open --session gone--> over
///         |                              '--drain, last flow--> over
///         '-- every address failed --> over
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
  /// Another way to the peer; set before `start`.
  var meeting: LinkMeeting? {
    didSet {
      meeting?.onRoad = { [weak self] in self?.roadFound($0) }
      meeting?.onHopeless = { [weak self] in self?.giveUpIfDone() }
    }
  }
  private let udpTimeout: Duration
  /// Through which datagrams reach local programs.
  let gather = DatagramGather()
  /// Found by others: through a relay, or punched.
  private var roads: [NetworkPath] = []
  private var nextAttempt = 0
  private var pendingCarriers = 0
  private var dialTimer: LoopTimer?
  private var flows: [Int64: OutgoingFlow] = [:]
  /// Accepted before the session was open, or while the peer allows no more flows.
  private var waiting: [(socket: any StreamSocket, wish: FlowWish)] = []
  private var totals = TunnelTotals()
  private var isDraining = false
  private var drained: (() -> Void)?
  /// The peer said that everything is with its programs.
  private(set) var isConfirmed = false

  private enum State {
    case dialling
    case open(SessionCore)
    case over
  }

  /// - Parameters:
  ///   - opened: called once, when the session is open.
  ///   - over: called once, when there is none any more, with the reason.
  init(
    endpoint: EndpointCore, registry: PathRegistry, dialer: CarrierDialer,
    loop: any EventLoop, ticket: Ticket, policy: CarrierPolicy, udpTimeout: Duration,
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
    plan = DialPlan(addresses: ticket.addresses, policy: policy)
    self.onEvent = onEvent
    self.opened = opened
    self.over = over
  }

  /// Begins to dial; every call of `opened` and `over` comes later, from the loop.
  func start() {
    meeting?.begin()
    dialNext(after: .zero)
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
    guard !isDraining, waiting.count < Self.waitingMax else {
      socket.close(resetting: true)
      if !isDraining { onEvent(.flowLimitReached) }
      return
    }
    waiting.append((socket, wish))
    openWaiting()
  }

  /// Begins a UDP flow to the service of that name, with this end on our side; nil without a session
  /// that has it.
  func openDatagramFlow(to service: String, end: any DatagramEnd) -> DatagramFlow? {
    guard case .open(let session) = state, !isDraining,
      let index = session.services.firstIndex(where: { $0.name == service })
    else { return nil }
    return session.datagrams?.openFlow(service: UInt64(index), end: end)
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
      session.datagrams?.close()
      totals.note(session.datagrams)
      if session.isFinished { finished = session }
    }
    end(.ended(Self.closeReason))
    finished?.close(code: TunnelCode.drained, reason: Self.closeReason)
    endpoint.close(code: TunnelCode.done, reason: Self.closeReason)
    dialer.close()
    meeting?.close()
  }

  private static let closeReason = "the connecting side stopped"

  // MARK: Dialling

  private func dialNext() {
    guard case .dialling = state else { return }
    guard nextAttempt < plan.attempts.count else { return giveUpIfDone() }
    let attempt = plan.attempts[nextAttempt]
    nextAttempt += 1
    if attempt.kind == .udp {
      dial(attempt.address, over: nil)
    } else {
      pendingCarriers += 1
      dialer.open(attempt.address, kind: attempt.kind) { [weak self] carrier in
        self?.carrierSettled(carrier, address: attempt.address)
      }
    }
    let next = nextAttempt < plan.attempts.count ? plan.attempts[nextAttempt].delay : attempt.delay
    dialNext(after: next - attempt.delay)
  }

  private func dialNext(after delay: Duration) {
    let timer = LoopTimer { [weak self] _ in self?.dialNext() }
    dialTimer = timer
    loop.schedule(timer, at: loop.now + delay)
  }

  private func carrierSettled(_ carrier: StreamCarrier?, address: SocketAddress) {
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
        ticket: ticket, loop: loop)
      session.owner = self
      dialled.append(session)
    } catch {
      failures.append(error)
    }
  }

  /// A road to the peer was found by others: for a session, or for the one that goes another way. One
  /// through a relay is of use beside a direct one as well, for the day that that one fails.
  func roadFound(_ road: NetworkPath) {
    let kind = CarrierKind(road)
    guard policy.allows(kind) else { return }
    if roads.count >= Self.roadsMax { roads.removeFirst() }
    roads.append(road)
    switch state {
    case .dialling: dial(road.remote, over: road)
    case .open(let session):
      if kind == .relay || session.paths?.activePath.kind != .udp {
        session.paths?.add(road, kind: kind)
      }
    case .over: break
    }
  }

  /// As many as a path manager looks after.
  private static let roadsMax = 8

  private func giveUpIfDone() {
    guard case .dialling = state, dialled.isEmpty, pendingCarriers == 0,
      nextAttempt >= plan.attempts.count, meeting?.isHopeful != true
    else { return }
    end(worstFailure)
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
    for (socket, _) in waiting { socket.close(resetting: true) }
    waiting.removeAll()
  }

  // MARK: Flows

  private func openWaiting() {
    guard case .open(let session) = state else { return }
    while let (socket, wish) = waiting.first {
      do throws(StreamError) {
        let flow = try OutgoingFlow(
          connection: session.connection, wish: wish, socket: socket, loop: loop
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
        socket.close(resetting: true)
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
}

extension LinkCore: SessionOwner {
  func sessionOpened(_ session: SessionCore) {
    guard case .dialling = state else {
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
    if let dialTimer { loop.cancel(dialTimer) }
    for other in dialled where other !== session {
      let path = other.connection.currentPath
      other.close(code: TunnelCode.superfluous, reason: "another address was faster")
      dialer.discard(path)
    }
    for road in roads where road != session.connection.currentPath {
      session.paths?.add(road, kind: CarrierKind(road))
    }
    totals.sessions = 1
    totals.sessionsOpen = 1
    let connection = session.connection
    onEvent(
      .sessionOpened(
        peer: connection.peer, path: describe(connection.currentPath),
        rtt: connection.statistics.smoothedRTT))
    meeting?.sessionOpened(isDirect: CarrierKind(connection.currentPath) == .udp)
    opened()
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
      if paths.activePath.kind != .udp, policy.allows(.udp),
        let local = endpoint.sourceAddress(towards: address)
      {
        paths.add(NetworkPath(local: local, remote: address), kind: .udp)
      }
    }
  }

  func session(_ session: SessionCore, movedTo path: NetworkPath, because reason: SwitchReason) {
    totals.switches += 1
    switch CarrierKind(path) {
    case .udp: meeting?.sessionOpened(isDirect: true)
    case .relay: meeting?.directPathLost()
    case .tcp: break
    }
    onEvent(.sessionMoved(path: describe(path), reason: reason))
  }

  private func describe(_ path: NetworkPath) -> SessionPath {
    SessionPath(
      carrier: CarrierKind(path),
      remote: dialer.remote(of: path) ?? registry.relay(of: path) ?? path.remote)
  }

  func session(_ session: SessionCore, ended error: QuicError) {
    dialled.removeAll { $0 === session }
    if case .open(let current) = state, current === session {
      totals.sessionsOpen = 0
      totals.connection = session.connection.statistics
      totals.note(session.datagrams)
      for flow in flows.values { flow.abort(code: TunnelCode.sessionEnding) }
      onEvent(
        .sessionEnded(
          peer: session.connection.peer,
          remote: describe(session.paths?.activePath.path ?? session.connection.currentPath)
            .remote,
          reason: error))
      isConfirmed = session.isConfirmed
      end(TunnelError(error))
      endDrainIfDone()
      return
    }
    failures.append(error)
    giveUpIfDone()
  }
}
