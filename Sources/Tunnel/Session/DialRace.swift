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
  private var runners: [Runner] = []
  /// Roads that are about to be dialled once more.
  private var redials = 0
  private var failures: [TunnelError] = []
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
    redials = 0
    failures.removeAll()
    proxyError = nil
    runners.removeAll()
    for road in roads { dial(road.remote, over: road) }
    dialNext(after: .zero)
  }

  /// A road was found while the round goes on.
  func dial(_ road: NetworkPath) {
    if isRunning { dial(road.remote, over: road) }
  }

  func contains(_ session: SessionCore) -> Bool { runners.contains { $0.session === session } }

  /// The round is over; the others are closed.
  func win(_ winner: SessionCore) {
    stop()
    for other in runners.map(\.session) where other !== winner {
      let path = other.connection.currentPath
      other.close(code: TunnelCode.superfluous, reason: "another address was faster")
      dialer.discard(path)
    }
    runners.removeAll()
  }

  /// A session of the round ended before it was open.
  func lose(_ session: SessionCore, _ error: QuicError) {
    guard let index = runners.firstIndex(where: { $0.session === session }) else { return }
    let runner = runners.remove(at: index)
    var failure = TunnelError(error)
    if session.isProven, case .lost = failure { failure = .greetingBroken(.init(error)) }
    failures.append(failure)
    if isRunning, !session.isProven, runner.mayRunAgain(after: error) {
      redial(runner)
    } else {
      tellIfExhausted()
    }
  }

  /// Somebody on the way may have ended it by a forged packet; a new connection has new IDs and keys.
  private func redial(_ runner: Runner) {
    redials += 1
    let round = round
    let timer = LoopTimer { [weak self] _ in
      guard let self, round == self.round, isRunning else { return }
      redials -= 1
      dial(runner.address, over: runner.road, failures: runner.failures + 1)
      tellIfExhausted()
    }
    loop.schedule(timer, at: loop.now + Self.redialDelay * (runner.failures + 1))
  }

  /// Long enough for a burst of forgeries about one first packet to pass.
  private static let redialDelay = Duration.milliseconds(100)

  /// Begins no more attempts.
  func stop() {
    isRunning = false
    if let timer { loop.cancel(timer) }
  }

  /// Whether nothing is under way and nothing is left to try.
  var isExhausted: Bool {
    isRunning && runners.isEmpty && redials == 0 && pendingCarriers == 0
      && nextAttempt >= attempts.count
  }

  /// What the user can act on; nil where there was but silence.
  var failure: TunnelError? {
    let telling = failures.first { error in
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

  private func dial(_ address: SocketAddress, over road: NetworkPath?, failures count: Int = 0) {
    do throws(QuicError) {
      let target = ConnectTarget(
        address: address, expectedPeer: ticket.identity, serverName: nil)
      let session = try SessionCore(
        dialing: target, over: road, endpoint: endpoint, registry: registry,
        ticket: ticket, loop: loop)
      session.owner = owner
      runners.append(Runner(session: session, address: address, road: road, failures: count))
    } catch {
      failures.append(TunnelError(error))
    }
  }

  private func tellIfExhausted() {
    if isExhausted { onExhausted?() }
  }

  // MARK: Types

  /// A session that is on its way.
  private struct Runner {
    let session: SessionCore
    let address: SocketAddress
    /// Nil for UDP straight to the address.
    let road: NetworkPath?
    /// How many before it failed on the same road.
    let failures: Int

    /// Whether the end of this one, before anybody proved anything, may be a forger's work (RFC 9000
    /// §21.2). A carrier over TCP has nobody's packets but its peer's.
    func mayRunAgain(after error: QuicError) -> Bool {
      let isUDP = road.map { CarrierKind($0) == .udp || CarrierKind($0) == .relay } ?? true
      guard isUDP, failures < Self.failuresMax else { return false }
      switch error {
      case .transport, .versionMismatch: return true
      default: return false
      }
    }

    /// Whoever forges for longer than that can also drop every packet.
    private static let failuresMax = 3
  }
}
