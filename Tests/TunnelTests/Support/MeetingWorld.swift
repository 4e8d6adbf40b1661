import HolePunch
import QuicTransport
import Simulation
import Testing

@testable import Tunnel

/// A share and a link behind translators, real QUIC between them, and a relay that introduces them.
/// The ticket has no address: whatever connects them came through the relay.
final class MeetingWorld {
  let loop = SimLoop()
  let network: SimNetwork
  private(set) var relay: SimRelay
  let share: Side
  let link: Side
  let targets: SimTargets
  let nats: [SimNAT]
  private(set) var startedAt = SimLoop.start
  private(set) var openedAt: Instant?
  private(set) var errors: [TunnelError] = []
  private var shareCore: ShareCore?
  private(set) var linkCore: LinkCore?
  private let options: Options

  /// One node with a host of its own.
  final class Side {
    let endpoint: EndpointCore
    let registry: PathRegistry
    let dialer: CarrierDialer
    let journal = Journal()
    let identity: Identity
    let socket: SimSocket
    fileprivate(set) var meeting: MeetingCore?
    fileprivate(set) var events: [MeetingEvent] = []

    init(
      network: SimNetwork, host: SocketAddress, identity: Identity, accepts: Bool,
      connect: @escaping CarrierDialer.Connect
    ) throws {
      self.identity = identity
      endpoint = try EndpointCore(
        loop: network.loop,
        settings: TunnelWorld.sessionSettings.endpointSettings(
          identity: identity, acceptsConnections: accepts))
      socket = network.bind(host)
      endpoint.add(socket)
      registry = PathRegistry(endpoint: endpoint)
      dialer = try CarrierDialer(
        endpoint: endpoint, registry: registry, loop: network.loop, proxy: nil,
        connect: connect)
    }

    var punched: [(path: PunchedPath, mode: PunchMode)] {
      events.compactMap {
        if case .punched(_, let path, let mode) = $0 { (path, mode) } else { nil }
      }
    }

    var failures: [PunchFailure] {
      events.compactMap { if case .notDirect(_, let failure) = $0 { failure } else { nil } }
    }

    /// How often a rendezvous answered.
    var readyCount: Int {
      events.count { if case .rendezvousReady = $0 { true } else { false } }
    }
  }

  /// How a world differs from the plain one.
  struct Options {
    var seed: UInt64 = 1
    /// Nil for a public address.
    var share: SimNAT.Settings? = .linuxHome
    var link: SimNAT.Settings? = .linuxHome
    var roundTrip = Duration.milliseconds(40)
    var ticketCapability = TunnelWorld.capability
    var linkIdentity = TunnelWorld.linkIdentity
    var grant: Grant?
    var stunServers: [SocketAddress] = []
    /// Whether nodes take relayed datagrams.
    var relays = false
  }

  static let shareNAT = SocketAddress(ipv4: 0xc633_6401, port: 0)
  static let linkNAT = SocketAddress(ipv4: 0xc633_6502, port: 0)

  init(_ configure: (inout Options) -> Void = { _ in }) throws {
    var options = Options()
    configure(&options)
    self.options = options
    var settings = LinkSettings()
    settings.latency = options.roundTrip / 2
    let network = SimNetwork(loop: loop, seed: options.seed, defaults: settings)
    self.network = network
    relay = try SimRelay(network: network, host: .serverHost)
    targets = SimTargets(loop: loop)
    var nats: [SimNAT] = []
    func host(_ number: UInt32, behind nat: SocketAddress, _ settings: SimNAT.Settings?)
      -> SocketAddress
    {
      guard let settings else { return nat }
      let host = SocketAddress(ipv4: 0x0a00_0005 + number << 8, port: 0)
      nats.append(network.addTranslator(at: nat, settings))
      nats[nats.count - 1].attach(host)
      return host
    }
    let shareHost = host(1, behind: Self.shareNAT, options.share)
    let linkHost = host(2, behind: Self.linkNAT, options.link)
    self.nats = nats
    let refuse: CarrierDialer.Connect = { _ throws(RuntimeError) in
      throw .system("connect", 111)
    }
    share = try Side(
      network: network, host: shareHost, identity: TunnelWorld.shareIdentity, accepts: true,
      connect: refuse)
    link = try Side(
      network: network, host: linkHost, identity: options.linkIdentity, accepts: false,
      connect: refuse)
  }

  var rendezvous: RendezvousAddress {
    RendezvousAddress(
      key: SimRelay.identity.publicKey, addresses: [.serverHost.with(port: SimRelay.port)])
  }

  func startShare() throws {
    let gate = try Gate(
      root: TunnelWorld.capability, rules: AccessRules(tickets: nil, allowed: nil),
      wallClock: { 1_800_000_000 })
    let carriers = try CarrierListener(
      endpoint: share.endpoint, registry: share.registry, serverName: "localhost", loop: loop)
    shareCore = ShareCore(
      endpoint: share.endpoint, registry: share.registry, carriers: carriers, loop: loop,
      gate: gate, services: [Service(name: "", target: .tcp([SimTargets.web]))],
      udpTimeout: .seconds(60), connect: targets.connect,
      connectDatagrams: SimDatagramTargets(network: network).connect,
      finder: SimNames(loop: loop).finder, onEvent: share.journal.note)
    let (meeting, clients) = meet(
      share, role: .sharing(capability: { gate.capability(ofGrant: $0) }))
    meeting.start(clients)
    startedAt = loop.now
  }

  func startLink() {
    var ticket = Ticket(
      identity: TunnelWorld.shareIdentity.publicKey, capability: options.ticketCapability,
      port: 3_000, addresses: [])
    if let grant = options.grant { ticket = ticket.restricted(to: grant) }
    let core = LinkCore(
      endpoint: link.endpoint, registry: link.registry, dialer: link.dialer, loop: loop,
      ticket: ticket, policy: .automatic,
      retry: RetryPolicy.never, udpTimeout: .seconds(60), random: { 0.5 },
      onEvent: link.journal.note,
      opened: { [weak self] in self?.openedAt = self?.loop.now },
      over: { [weak self] in self?.errors.append($0) })
    let (meeting, clients) = meet(
      link,
      role: .dialling(
        peer: ticket.identity, capability: ticket.capability, grant: ticket.grant?.bytes ?? []))
    core.meeting = LinkMeeting(
      meeting: meeting, clients: clients, peer: ticket.identity, loop: loop)
    linkCore = core
    core.start()
    startedAt = loop.now
  }

  /// Starts both, the link later, or first if `skew` is negative.
  func start(skew: Duration = .zero) throws {
    if skew < .zero {
      startLink()
      loop.run(for: .zero - skew)
      try startShare()
    } else {
      try startShare()
      loop.run(for: skew)
      startLink()
    }
  }

  /// From the later start until the session was open; nil if it was not in time.
  func timeToOpen(within limit: Duration) -> Duration? {
    _ = loop.run(for: limit) { openedAt != nil || !errors.isEmpty }
    return openedAt.map { $0 - startedAt }
  }

  /// A program on the link's side gets an answer from the target on the share's.
  func carries(sourceLocation: SourceLocation = #_sourceLocation) -> Bool {
    let (near, far) = SimStreamSocket.pair(
      loop: loop, capacity: 65_536, latency: SimTargets.latency)
    let program = LocalProgram(far)
    linkCore?.accept(near, wish: .service(""))
    program.send(Array("hello".utf8))
    return loop.run(for: .seconds(5)) {
      targets.programs.contains { $0.received == Array("hello".utf8) }
    }
  }

  /// The relay is killed and starts again at its place.
  func restartRelay(after pause: Duration) throws {
    relay.vanish()
    loop.run(for: pause)
    relay = try SimRelay(network: network, host: .serverHost)
  }

  private func meet(_ side: Side, role: MeetingRole) -> (MeetingCore, [RendezvousClient]) {
    let host = side.socket.localAddress.with(port: 0)
    let sockets = PunchSockets(
      main: side.socket, endpoint: side.endpoint, registry: side.registry
    ) { [network] in network.bind(host) }
    var seed = options.seed &* 31 &+ UInt64(side.identity.publicKey.bytes[0])
    let environment = MeetingCore.Environment(
      interfaces: { [InterfaceAddress(address: host, prefixLength: 24)] },
      bound: host, punch: PunchSettings(), probesLoopback: false,
      random: {
        seed &+= 1
        return SplitMix64(seed: seed)
      })
    let meeting = MeetingCore(
      identity: side.identity.publicKey, role: role, sockets: sockets,
      stunServers: options.stunServers, environment: environment, loop: loop,
      onEvent: { [weak side] in side?.events.append($0) })
    if options.relays {
      meeting.legs = RelayedSockets(
        endpoint: side.endpoint, registry: side.registry, loop: loop)
    }
    side.registry.onOther = { [weak meeting] in meeting?.receive($0, now: $1) }
    side.meeting = meeting
    let client = RendezvousClient(
      rendezvous: rendezvous, endpoint: side.endpoint, registry: side.registry,
      dialer: side.dialer, policy: .automatic, loop: loop, jitter: { 0.5 })
    return (meeting, [client])
  }
}
