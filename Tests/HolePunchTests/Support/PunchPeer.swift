import HolePunch
import QuicTransport
import Simulation

/// One side as a program would drive it: measures its network, registers, follows plans.
final class PunchPeer: DatagramReceiver {
  /// Tells the rendezvous what this side is like, or wants a round.
  var register: ((PunchPlan.Party) -> Void)?
  private(set) var machine: PunchMachine
  private(set) var succeededAt: Instant?
  private(set) var failures: [(failure: PunchFailure, at: Instant)] = []
  private(set) var freshPorts = 0
  private(set) var roundsWanted = 0
  /// Datagrams of the machine, without answers to the servers.
  private(set) var sentCount = 0
  /// At most this many sockets can be opened.
  var socketsMax = 1_024
  /// Offered besides what was gathered.
  var uselessCandidates: [Candidate] = []
  let host: SocketAddress

  private let network: SimNetwork
  private var loop: SimLoop { network.loop }
  private var sockets: [Int: SimSocket] = [:]
  private var numbers: [SocketAddress: Int] = [:]
  private var nextNumber = 0
  private let firstPort: UInt16
  private var main = 0
  private var spare: SimSocket?
  private var probe: NATProbe?
  private var hasRegistered = false
  private var isStarted = false
  private let timer = TimerBox()
  private var random: SplitMix64

  /// A timer that knows its owner weakly.
  private final class TimerBox {
    var timer: LoopTimer?
  }

  init(
    network: SimNetwork, host: SocketAddress, keys: PunchKeys, seed: UInt64,
    settings: PunchSettings = PunchSettings(), middleware: [any PunchMiddleware] = []
  ) {
    self.network = network
    self.host = host
    random = SplitMix64(seed: seed)
    firstPort = UInt16(10_000 + random.below(30_000))
    let filter = CandidateFilter(
      interfaces: [InterfaceAddress(address: host, prefixLength: host.isIPv4 ? 24 : 64)],
      reflexive: [])
    machine = PunchMachine(
      keys: keys, filter: filter, settings: settings,
      random: SplitMix64(seed: seed &* 7), middleware: middleware, now: network.loop.now)
    timer.timer = LoopTimer { [weak self] _ in self?.wake() }
  }

  /// Begins, from nothing.
  func start() {
    isStarted = true
    main = open()
    measure()
  }

  /// Our socket of the path, once there is one.
  var pathSocket: SimSocket? { machine.path.flatMap { sockets[$0.socket] } }

  /// How many sockets are open.
  var socketCount: Int { sockets.count }

  func follow(_ plan: PunchPlan) {
    machine.begin(plan, socket: main, offer: UInt32(main), now: loop.now)
    drain()
  }

  func changeNetwork() {
    machine.networkChanged(now: loop.now)
    drain()
  }

  func receive(_ datagram: ReceivedDatagram, now: Instant) {
    let bytes = Array(datagram.bytes)
    let source = datagram.path.remote
    guard let first = bytes.first else { return }
    if STUNMessage.mayBegin(with: first) {
      let onSpare = datagram.path.local == spare?.localAddress
      _ = probe?.receive(bytes, from: source, onSpare: onSpare, now: now)
    } else if let number = numbers[datagram.path.local] {
      machine.receive(bytes, from: source, socket: number, now: now)
    }
    drain()
  }

  func datagramSocketWritable(_ socket: any DatagramSocket) {}

  // MARK: Driving

  private func open() -> Int {
    nextNumber += 1
    let socket = network.bind(host.with(port: firstPort + UInt16(nextNumber)))
    socket.receiver = self
    sockets[nextNumber] = socket
    numbers[socket.localAddress] = nextNumber
    return nextNumber
  }

  private func measure() {
    spare?.close()
    spare = network.bind(host)
    spare?.receiver = self
    hasRegistered = false
    probe = NATProbe(
      servers: [SimStunServer.primary], interfaces: [host],
      port: sockets[main]?.localAddress.port ?? 0, random: random, now: loop.now)
    _ = random.next()
    drain()
  }

  private func wake() {
    probe?.handleTimeout(now: loop.now)
    machine.handleTimeout(now: loop.now)
    drain()
  }

  private func drain() {
    while let effect = probe?.nextEffect() {
      (effect.fromSpare ? spare : sockets[main])?.send(effect.bytes, to: effect.destination)
    }
    while let effect = machine.nextEffect() { perform(effect) }
    registerIfKnown()
    guard let timer = timer.timer else { return }
    loop.cancel(timer)
    guard let due = [probe?.timeout, machine.timeout].compactMap(\.self).min() else { return }
    loop.schedule(timer, at: max(due, loop.now))
  }

  private func registerIfKnown() {
    guard let probe, probe.report.mapping != .unknown || probe.isComplete else { return }
    guard !hasRegistered || lastReport != probe.report else { return }
    hasRegistered = true
    lastReport = probe.report
    machine.filter.reflexive = probe.reflexive
    let port = sockets[main]?.localAddress.port ?? 0
    var candidates = uselessCandidates
    candidates.append(
      Candidate(address: host.with(port: port), kind: host.isPrivate ? .local : .global))
    candidates += probe.reflexive.prefix(1).map { Candidate(address: $0, kind: .reflexive) }
    register?(
      PunchPlan.Party(
        offer: UInt32(main), report: probe.report, observed: probe.reflexive.first,
        candidates: candidates,
        delay: .zero))
  }

  private var lastReport: NATReport?

  private func perform(_ effect: PunchEffect) {
    switch effect {
    case .send(let datagram):
      sentCount += 1
      sockets[datagram.socket]?.send(
        datagram.bytes, to: datagram.destination, hopLimit: Int(datagram.hopLimit ?? 64))
    case .openSockets(let count):
      let opened = (0..<min(count, socketsMax - sockets.count)).map { _ in open() }
      machine.socketsOpened(opened, now: loop.now)
    case .closeSockets(let closing):
      for number in closing {
        guard let socket = sockets.removeValue(forKey: number) else { continue }
        numbers[socket.localAddress] = nil
        socket.close()
      }
    case .validated: break
    case .succeeded: succeededAt = succeededAt ?? loop.now
    case .notDirect(let failure): failures.append((failure, loop.now))
    case .freshPortWanted:
      freshPorts += 1
      main = open()
      measure()
    case .roundWanted:
      roundsWanted += 1
      measure()
    }
  }
}
