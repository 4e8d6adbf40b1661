internal import HolePunch
internal import QuicTransport

/// Puts a `NATProbe` on a loop and on sockets: one measurement of what is between us and the world.
final class NetworkSurvey {
  /// Called on the loop whenever the report or the addresses became better.
  var onNews: (() -> Void)?
  /// The socket that it is about.
  let socket: Int

  private var probe: NATProbe
  private let sockets: PunchSockets
  private let loop: any EventLoop
  /// Receives what was asked to be sent to us unexpectedly; closed when all is known.
  private var spare: Int?
  private var timer: LoopTimer?
  private var told: (report: NATReport, reflexive: [SocketAddress], isComplete: Bool)?

  /// Begins.
  ///
  /// - Parameters:
  ///   - servers: STUN servers; two of different hosts tell most.
  ///   - interfaces: this machine's addresses.
  init(
    servers: [SocketAddress], interfaces: [SocketAddress], socket: Int, sockets: PunchSockets,
    random: any RandomNumberGenerator, loop: any EventLoop
  ) {
    self.socket = socket
    self.sockets = sockets
    self.loop = loop
    probe = NATProbe(
      servers: servers, interfaces: interfaces, port: sockets.port(of: socket), random: random,
      now: loop.now)
    timer = LoopTimer { [weak self] now in self?.wake(now: now) }
    drain()
  }

  /// What is known by now.
  var report: NATReport { probe.report }
  /// Where servers saw the socket, newest last.
  var reflexive: [SocketAddress] { probe.reflexive }
  var isComplete: Bool { probe.isComplete }

  /// Takes a datagram that came to one of the sockets; false if it is no answer to us.
  func receive(_ bytes: [UInt8], from source: SocketAddress, at number: Int, now: Instant) -> Bool {
    guard number == socket || number == spare else { return false }
    let isOurs = probe.receive(bytes, from: source, onSpare: number == spare, now: now)
    // Anybody can send what is none.
    if isOurs { drain() }
    return isOurs
  }

  func stop() {
    if let timer { loop.cancel(timer) }
    timer = nil
    closeSpare()
  }

  private func wake(now: Instant) {
    probe.handleTimeout(now: now)
    drain()
  }

  private func drain() {
    while let effect = probe.nextEffect() {
      if effect.fromSpare, spare == nil { spare = sockets.open() }
      // Without a spare socket filtering stays unknown, which the strategy takes for the worse.
      guard let from = effect.fromSpare ? spare : socket else { continue }
      sockets.send(effect.bytes, from: from, to: effect.destination, hopLimit: nil)
    }
    if let timer {
      loop.cancel(timer)
      if let due = probe.timeout { loop.schedule(timer, at: max(due, loop.now)) }
    }
    if probe.isComplete { closeSpare() }
    let (report, reflexive) = (probe.report, probe.reflexive)
    guard
      told?.report != report || told?.reflexive != reflexive
        || told?.isComplete != probe.isComplete
    else { return }
    told = (report, reflexive, probe.isComplete)
    onNews?()
  }

  private func closeSpare() {
    if let spare { sockets.close(spare) }
    spare = nil
  }
}
