internal import QuicTransport

/// Checks the target of one service again and again, and tells whoever asks for it.
///
/// The share does this, and not the relay: one check serves every relay, the target is asked from where
/// it is and as its own machine sees it, and the relay hears of changes alone.
final class HealthWatch {
  let service: String
  /// Told of every verdict.
  var listeners: [(_ isUp: Bool) -> Void] = []
  private let check: HealthCheck
  private let addresses: [StreamAddress]
  private let prologue: [UInt8]
  private let loop: any EventLoop
  private let connect: IncomingFlow.Connect
  private let onEvent: (TunnelEvent) -> Void
  private var judge: HealthJudge
  private var problem: HealthProblem?
  private var since: Instant
  private var probe: HealthProbe?
  private var timer: LoopTimer?
  private var isStopped = false

  /// - Parameter route: of the service; nil is returned where nothing can be asked.
  init?(
    service: String, route: ServiceRoute, check: HealthCheck, loop: any EventLoop,
    connect: @escaping IncomingFlow.Connect, onEvent: @escaping (TunnelEvent) -> Void
  ) {
    guard case .addresses(let addresses) = route.goal else { return nil }
    self.service = service
    self.check = check
    self.addresses = addresses
    prologue =
      route.proxyProtocol?.header(.init(source: .any, destination: .loopbackIPv4, identity: nil))
      ?? []
    self.loop = loop
    self.connect = connect
    self.onEvent = onEvent
    judge = HealthJudge(fall: check.fall, rise: check.rise)
    since = loop.now
  }

  /// Whether visitors may come: not before the first check has passed.
  var isUp: Bool { judge.isUp == true }

  var report: HealthReport {
    HealthReport(service: service, isUp: judge.isUp, problem: problem, age: loop.now - since)
  }

  func start() {
    guard !isStopped, probe == nil else { return }
    let began = loop.now
    let probe = HealthProbe(
      addresses: addresses, prologue: prologue, check: check, loop: loop, connect: connect)
    self.probe = probe
    probe.run(within: check.timeout) { [weak self] in self?.note($0, began: began) }
  }

  func stop() {
    isStopped = true
    probe?.cancel()
    probe = nil
    if let timer { loop.cancel(timer) }
    timer = nil
  }

  private func note(_ problem: HealthProblem?, began: Instant) {
    probe = nil
    guard !isStopped else { return }
    let timer = self.timer ?? LoopTimer { [weak self] _ in self?.start() }
    self.timer = timer
    loop.schedule(timer, at: began + check.interval)
    self.problem = problem
    guard judge.note(isGood: problem == nil), let isUp = judge.isUp else { return }
    since = loop.now
    onEvent(.targetHealth(service: service, isUp: isUp, problem))
    for tell in listeners { tell(isUp) }
  }
}
