internal import HolePunch
internal import QuicTransport

/// Told how one pair's punching goes. Called on the loop.
protocol PunchDriverOwner: AnyObject {
  func punch(_ driver: PunchDriver, succeeded path: PunchedPath, mode: PunchMode)
  func punch(_ driver: PunchDriver, failed failure: PunchFailure)
  /// The system, or a bound of ours, gave it fewer sockets than it wanted.
  func punch(_ driver: PunchDriver, opened count: Int, of wanted: Int)
  /// Another port is to be offered.
  func punchWantsFreshPort(_ driver: PunchDriver)
  /// Another round is to be asked for.
  func punchWantsRound(_ driver: PunchDriver)
}

/// Puts a `PunchMachine` on a loop and on sockets: one pair of peers.
final class PunchDriver {
  let peer: PublicKey
  weak var owner: (any PunchDriverOwner)?

  private var machine: PunchMachine
  private let sockets: PunchSockets
  private let loop: any EventLoop
  private let watch: Watch
  private var timer: LoopTimer?
  private var mode = PunchMode.plain
  private var opened: Set<Int> = []

  init(
    peer: PublicKey, keys: PunchKeys, filter: CandidateFilter, settings: PunchSettings,
    sockets: PunchSockets, random: any RandomNumberGenerator, loop: any EventLoop
  ) {
    self.peer = peer
    self.sockets = sockets
    self.loop = loop
    watch = Watch(sockets: sockets)
    machine = PunchMachine(
      keys: keys, filter: filter, settings: settings, random: random, middleware: [watch],
      now: loop.now)
    timer = LoopTimer { [weak self] now in
      self?.machine.handleTimeout(now: now)
      self?.drain()
    }
  }

  var state: PunchMachine.State { machine.state }
  /// Packets that claimed to be of this pair and were not signed by the peer.
  var forgeries: Int { watch.forgeries }

  func follow(_ plan: PunchPlan, socket: Int, offer: UInt32, filter: CandidateFilter) {
    mode = plan.mode
    machine.filter = filter
    machine.begin(plan, socket: socket, offer: offer, now: loop.now)
    drain()
  }

  /// Takes a datagram that begins like a probe; false if it is another pair's.
  func receive(_ bytes: [UInt8], from source: SocketAddress, at socket: Int, now: Instant) -> Bool {
    guard machine.receive(bytes, from: source, socket: socket, now: now) else { return false }
    drain()
    return true
  }

  /// Ends; sockets at which the peer has proved itself stay with the endpoint, since its session may
  /// be there already.
  func stop() {
    if let timer { loop.cancel(timer) }
    timer = nil
    for socket in opened where !sockets.isHandedOver(socket) { sockets.close(socket) }
    opened.removeAll()
  }

  private func drain() {
    while let effect = machine.nextEffect() { perform(effect) }
    guard let timer else { return }
    loop.cancel(timer)
    if let due = machine.timeout { loop.schedule(timer, at: max(due, loop.now)) }
  }

  private func perform(_ effect: PunchEffect) {
    switch effect {
    case .send(let datagram):
      sockets.send(
        datagram.bytes, from: datagram.socket, to: datagram.destination,
        hopLimit: datagram.hopLimit)
    case .openSockets(let count):
      let numbers = sockets.open(count)
      opened.formUnion(numbers)
      if numbers.count < count { owner?.punch(self, opened: numbers.count, of: count) }
      machine.socketsOpened(numbers, now: loop.now)
    case .closeSockets(let numbers):
      for number in numbers { sockets.close(number) }
      opened.subtract(numbers)
    case .validated(let path): sockets.handOver(path.socket)
    case .succeeded(let path): owner?.punch(self, succeeded: path, mode: mode)
    case .notDirect(let failure): owner?.punch(self, failed: failure)
    case .freshPortWanted: owner?.punchWantsFreshPort(self)
    case .roundWanted: owner?.punchWantsRound(self)
    }
  }

  /// Lets QUIC use a socket as soon as the peer has proved itself there: its first QUIC packet may
  /// follow at once.
  private final class Watch: PunchMiddleware {
    private(set) var forgeries = 0
    private let sockets: PunchSockets

    init(sockets: PunchSockets) { self.sockets = sockets }

    func note(_ event: PunchEvent) {
      switch event {
      case .probed(_, let socket): sockets.handOver(socket)
      case .dropped(.badSignature, _): forgeries += 1
      case .began, .answered, .dropped: break
      }
    }
  }
}
