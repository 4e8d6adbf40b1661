internal import QuicTransport

/// One round of dialling after the other: the ticket's addresses by every kind of carrier, and the
/// roads that others find, race for the first session to be open.
///
///     running --win, stop--> idle --begin--> running
///        '--nothing left--> exhausted, until a road is found
final class DialRace {
  weak var owner: (any SessionOwner)?
  /// Called when nothing is left to wait for; a road that is found later may still be dialled.
  var onExhausted: (() -> Void)?
  /// Set before the first round.
  var path = PathPolicy.automatic

  private let endpoint: EndpointCore
  private let registry: PathRegistry
  private let dialer: CarrierDialer
  private let loop: any EventLoop
  private let ticket: Ticket
  private let policy: CarrierPolicy
  private var attempts: [DialPlan.Attempt] = []
  private var nextAttempt = 0
  private var pendingCarriers = 0
  private var sessions: [SessionCore] = []
  private var failures: [QuicError] = []
  private var proxyError: ProxyError?
  private var timer: LoopTimer?
  private var isRunning = true
  /// Tells the answers of an earlier round from those of this one.
  private var round = 0

  init(
    endpoint: EndpointCore, registry: PathRegistry, dialer: CarrierDialer,
    loop: any EventLoop, ticket: Ticket, policy: CarrierPolicy
  ) {
    self.endpoint = endpoint
    self.registry = registry
    self.dialer = dialer
    self.loop = loop
    self.ticket = ticket
    self.policy = policy
  }

  /// Begins a round with the roads that are known.
  func begin(roads: [NetworkPath]) {
    isRunning = true
    round += 1
    // Each time anew: the machine may be in another network by now.
    let reachesUDP = ticket.addresses.contains {
      endpoint.sourceAddress(towards: $0)?.isUnspecified == false
    }
    attempts =
      path.looksForDirect
      ? DialPlan(addresses: ticket.addresses, policy: policy, reachesUDP: reachesUDP).attempts : []
    nextAttempt = 0
    pendingCarriers = 0
    failures.removeAll()
    proxyError = nil
    sessions.removeAll()
    for road in roads { dial(road.remote, over: road) }
    dialNext(after: .zero)
  }

  /// A road was found while the round goes on.
  func dial(_ road: NetworkPath) {
    if isRunning { dial(road.remote, over: road) }
  }

  func contains(_ session: SessionCore) -> Bool { sessions.contains { $0 === session } }

  /// The round is over; the others are closed.
  func win(_ winner: SessionCore) {
    stop()
    for other in sessions where other !== winner {
      let path = other.connection.currentPath
      other.close(code: TunnelCode.superfluous, reason: "another address was faster")
      dialer.discard(path)
    }
    sessions.removeAll()
  }

  /// A session of the round ended before it was open.
  func lose(_ session: SessionCore, _ error: QuicError) {
    sessions.removeAll { $0 === session }
    failures.append(error)
    tellIfExhausted()
  }

  /// Begins no more attempts.
  func stop() {
    isRunning = false
    if let timer { loop.cancel(timer) }
  }

  /// Whether nothing is under way and nothing is left to try.
  var isExhausted: Bool {
    isRunning && sessions.isEmpty && pendingCarriers == 0 && nextAttempt >= attempts.count
  }

  /// What the user can act on; nil where there was but silence.
  var failure: TunnelError? {
    let telling = failures.map(TunnelError.init).first { error in
      if case .lost = error { false } else { true }
    }
    return telling ?? proxyError.map(TunnelError.proxy)
  }

  // MARK: Attempts

  private func dialNext() {
    guard isRunning else { return }
    guard nextAttempt < attempts.count else { return tellIfExhausted() }
    let attempt = attempts[nextAttempt]
    nextAttempt += 1
    if attempt.kind == .udp {
      dial(attempt.address, over: nil)
    } else {
      pendingCarriers += 1
      let round = round
      dialer.open(attempt.address, kind: attempt.kind, besides: nil) { [weak self] result in
        self?.carrierSettled(result, address: attempt.address, of: round)
      }
    }
    let next = nextAttempt < attempts.count ? attempts[nextAttempt].delay : attempt.delay
    dialNext(after: next - attempt.delay)
  }

  private func dialNext(after delay: Duration) {
    if let timer { loop.cancel(timer) }
    let timer = LoopTimer { [weak self] _ in self?.dialNext() }
    self.timer = timer
    loop.schedule(timer, at: loop.now + delay)
  }

  private func carrierSettled(
    _ result: Result<StreamCarrier, CarrierDialer.Failure>, address: SocketAddress, of round: Int
  ) {
    guard round == self.round, isRunning else {
      if case .success(let carrier) = result { dialer.discard(carrier.path) }
      return
    }
    pendingCarriers -= 1
    switch result {
    case .success(let carrier): dial(address, over: carrier.path)
    case .failure(let failure):
      if case .proxy(let error) = failure { proxyError = error }
      tellIfExhausted()
    }
  }

  private func dial(_ address: SocketAddress, over path: NetworkPath?) {
    do throws(QuicError) {
      let target = ConnectTarget(
        address: address, expectedPeer: ticket.identity, serverName: nil)
      let session = try SessionCore(
        dialing: target, over: path, endpoint: endpoint, registry: registry,
        ticket: ticket, loop: loop)
      session.owner = owner
      sessions.append(session)
    } catch {
      failures.append(error)
    }
  }

  private func tellIfExhausted() {
    if isExhausted { onExhausted?() }
  }
}
