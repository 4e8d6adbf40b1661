import HolePunch
import QuicTransport
import Simulation

/// Two peers behind translators, a STUN server with two addresses, and a rendezvous that is a
/// function with delays.
final class PunchWorld {
  let loop = SimLoop()
  let network: SimNetwork
  let server: SimStunServer
  let first: PunchPeer
  let second: PunchPeer
  let nats: [SimNAT]
  private(set) var plans = 0
  private var parties: [PunchPlan.Party?] = [nil, nil]
  private var lastPlanned: [PunchPlan.Party?] = [nil, nil]
  private var planIsDue = false
  private let options: Options
  private(set) var startedAt = SimLoop.start

  /// How a world differs from the plain one.
  struct Options {
    var seed: UInt64 = 1
    /// Nil for a host with a public address.
    var first: SimNAT.Settings?
    var second: SimNAT.Settings?
    /// Hosts without translators have IPv6 addresses.
    var isIPv6 = false
    /// Both behind the first translator.
    var isShared = false
    var roundTrip = Duration.milliseconds(40)
    var link = LinkSettings()
    /// What the rendezvous takes to each, one way.
    var delays = [Duration.milliseconds(20), .milliseconds(20)]
    /// What it believes of the delays is wrong by so much.
    var planSkew = Duration.zero
    /// For all plans but the first.
    var laterPlanSkew: Duration?
    var settings = PunchSettings()
    var middleware: [any PunchMiddleware] = []
  }

  static let firstNAT = SocketAddress(ipv4: 0xc633_6401, port: 0)
  static let secondNAT = SocketAddress(ipv4: 0xc633_6502, port: 0)
  static let firstHost = SocketAddress(ipv4: 0x0a00_0105, port: 0)
  static let secondHost = SocketAddress(ipv4: 0x0a00_0206, port: 0)
  static let neighbourHost = SocketAddress(ipv4: 0x0a00_0106, port: 0)

  init(_ configure: (inout Options) -> Void) {
    var options = Options()
    configure(&options)
    self.options = options
    var link = options.link
    link.latency = options.roundTrip / 2
    let network = SimNetwork(loop: loop, seed: options.seed, defaults: link)
    self.network = network
    server = SimStunServer(network: network)
    var nats: [SimNAT] = []
    func host(_ address: SocketAddress, behind nat: SocketAddress, _ settings: SimNAT.Settings?)
      -> SocketAddress
    {
      guard let settings else {
        guard options.isIPv6 else { return nat }
        return nat == Self.firstNAT ? .clientHostIPv6 : .serverHostIPv6
      }
      nats.append(network.addTranslator(at: nat, settings))
      nats[nats.count - 1].attach(address)
      return address
    }
    let one = host(Self.firstHost, behind: Self.firstNAT, options.first)
    let two: SocketAddress
    if options.isShared {
      two = Self.neighbourHost
      nats.first?.attach(two)
      network.configure(one, two) { $0.latency = .milliseconds(1) }
    } else {
      two = host(Self.secondHost, behind: Self.secondNAT, options.second)
    }
    self.nats = nats
    let keys = PunchKeys.fixtures()
    first = PunchPeer(
      network: network, host: one, keys: keys.first, seed: options.seed &* 3 &+ 1,
      settings: options.settings, middleware: options.middleware)
    second = PunchPeer(
      network: network, host: two, keys: keys.second, seed: options.seed &* 5 &+ 2,
      settings: options.settings)
    first.register = { [weak self] in self?.register(0, $0) }
    second.register = { [weak self] in self?.register(1, $0) }
  }

  /// Both sides start, the second one later.
  func start(skew: Duration = .zero) {
    first.start()
    loop.run(for: skew)
    startedAt = loop.now
    second.start()
  }

  /// Other hosts behind both translators open flows all the time.
  func addNoise(every interval: Duration) {
    for (index, nat) in nats.enumerated() {
      let host = SocketAddress(ipv4: 0x0a00_0909 + UInt32(index), port: 0)
      nat.attach(host)
      makeNoise(network.bind(host), every: interval, port: 1)
    }
  }

  private func makeNoise(_ socket: SimSocket, every interval: Duration, port: UInt16) {
    socket.send([0], to: .otherHost.with(port: port))
    loop.after(interval) { [weak self] in
      self?.makeNoise(socket, every: interval, port: port % 60_000 + 1)
    }
  }

  /// Whether both sides use one path.
  var isDirect: Bool {
    first.machine.state == .direct && second.machine.state == .direct
  }

  /// From the later start until both sides had a path; nil if that did not happen in time.
  func timeToDirect(within limit: Duration) -> Duration? {
    _ = loop.run(for: limit) { isDirect }
    guard isDirect, let one = first.succeededAt, let two = second.succeededAt else { return nil }
    return max(one, two) - startedAt
  }

  /// Sends over the path, both ways.
  var pathCarries: Bool {
    guard let one = first.machine.path, let two = second.machine.path,
      let near = first.pathSocket, let far = second.pathSocket
    else { return false }
    var arrived = 0
    let receivers = [near, far].map { socket in (socket, socket.receiver) }
    let counter = Counter { arrived += 1 }
    for (socket, _) in receivers { socket.receiver = counter }
    near.send([0x40], to: one.remote)
    far.send([0x40], to: two.remote)
    loop.run(for: .seconds(1))
    for (socket, receiver) in receivers { socket.receiver = receiver }
    return arrived == 2
  }

  private final class Counter: DatagramReceiver {
    let count: () -> Void
    init(_ count: @escaping () -> Void) { self.count = count }
    func receive(_ datagram: ReceivedDatagram, now: Instant) {
      if datagram.bytes.first == 0x40 { count() }
    }
    func datagramSocketWritable(_ socket: any DatagramSocket) {}
  }

  // MARK: The rendezvous

  private func register(_ side: Int, _ party: PunchPlan.Party) {
    loop.after(options.delays[side]) { [weak self] in
      guard let self else { return }
      var party = party
      party.delay = options.delays[side]
      parties[side] = party
      guard !isDirect, !planIsDue else { return }
      planIsDue = true
      // News of both sides often come together.
      loop.after(.milliseconds(1)) { [weak self] in self?.plan() }
    }
  }

  private func plan() {
    planIsDue = false
    guard let one = parties[0], let two = parties[1], !isDirect else { return }
    plans += 1
    let round = PunchPlan.pair(round: UInt32(plans), first: one, second: two)
    loop.after(options.delays[0]) { [weak self] in self?.first.follow(round.first) }
    let skew = plans > 1 ? options.laterPlanSkew ?? options.planSkew : options.planSkew
    loop.after(options.delays[1] + skew) { [weak self] in
      self?.second.follow(round.second)
    }
  }
}
