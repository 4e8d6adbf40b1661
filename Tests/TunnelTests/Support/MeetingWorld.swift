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
  private(set) var relays: [SimRelay] = []
  /// TCP to the share, where there is any.
  private(set) var tcp: SimTCP?
  /// The share's gateway, if it forwards ports on request.
  private(set) var gateway: SimPCPGateway?
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
  private var greetings = 0

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

    /// How often its interfaces were asked for.
    fileprivate(set) var looks = 0

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
    var relayCount = 1
    /// Which way the link's session may go, and the share's.
    var path = PathPolicy.automatic
    var sharePath = PathPolicy.automatic
    var waitDirect: Duration?
    /// Whether the ticket has the share's address, which TCP may reach.
    var hasAddress = false
    /// Whether the share's gateway forwards ports on request.
    var forwardsPorts = false
    /// Of the nodes when the world begins, in seconds since 1970; the relay's is right.
    var wallClock: UInt64 = 1_800_000_000
    /// How many sockets a node may have beside its first.
    var socketsMax = Int.max
  }

  var relay: SimRelay { relays[0] }

  /// Where the relay with this number is.
  static func relayHost(_ number: Int) -> SocketAddress {
    SocketAddress(ipv4: 0xc000_0201 + UInt32(number), port: 0)
  }

  static func relayIdentity(_ number: Int) -> Identity {
    number == 0 ? SimRelay.identity : .fixture(100 + UInt8(number))
  }

  /// Connects to the share, once there is a listener.
  private final class Dialling {
    var tcp: SimTCP?
    var address: SocketAddress?

    func connect(_ address: SocketAddress) throws(RuntimeError) -> any StreamSocket {
      guard let tcp, address == self.address else { throw .system("connect", 111) }
      return try tcp.connect(address)
    }
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
    for number in 0..<options.relayCount {
      relays.append(
        try SimRelay(
          network: network, host: Self.relayHost(number), identity: Self.relayIdentity(number)))
    }
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
    let dialling = Dialling()
    self.dialling = dialling
    share = try Side(
      network: network, host: shareHost, identity: TunnelWorld.shareIdentity, accepts: true,
      connect: { _ throws(RuntimeError) in throw .system("connect", 111) })
    link = try Side(
      network: network, host: linkHost, identity: options.linkIdentity, accepts: false,
      connect: { address throws(RuntimeError) in try dialling.connect(address) })
    if options.forwardsPorts {
      gateway = SimPCPGateway(network: network, inside: shareHost, translator: nats[0])
    }
  }

  private let dialling: Dialling
  private var folder: TemporaryFolder?

  func rendezvous(_ number: Int) -> RendezvousAddress {
    RendezvousAddress(
      key: Self.relayIdentity(number).publicKey,
      addresses: [Self.relayHost(number).with(port: SimRelay.port)])
  }

  func startShare() throws {
    let gate = try Gate(
      root: TunnelWorld.capability, rules: AccessRules(tickets: try ledger(), allowed: nil),
      wallClock: { 1_800_000_000 })
    let carriers = try CarrierListener(
      endpoint: share.endpoint, registry: share.registry, serverName: "localhost", loop: loop)
    shareCore = ShareCore(
      endpoint: share.endpoint, registry: share.registry, carriers: carriers, loop: loop,
      gate: gate, services: [Service(name: "", target: .tcp([SimTargets.web]))],
      udpTimeout: .seconds(60), connect: targets.connect,
      connectDatagrams: SimDatagramTargets(network: network).connect,
      finder: SimNames(loop: loop).finder, onEvent: share.journal.note)
    if options.hasAddress {
      tcp = SimTCP(loop: loop, passes: false, listener: carriers)
      dialling.tcp = tcp
      dialling.address = share.socket.localAddress
    }
    let (meeting, clients) = meet(
      share, role: .sharing(capability: { gate.capability(ofGrant: $0) }))
    meeting.path = options.sharePath
    meeting.mapping = gateway?.mapping(of: share.socket)
    meeting.start(clients)
    startedAt = loop.now
  }

  /// The list that the link's ticket is on, where it has limits.
  private func ledger() throws -> LedgerFile? {
    guard let grant = options.grant else { return nil }
    let folder = try TemporaryFolder()
    self.folder = folder
    try folder.write([], to: "identity", mode: 0o600)
    let file = LedgerFile(besideIdentity: folder.file("identity"))
    let record = Ledger.TicketRecord(grant: grant, label: "", created: 1_600_000_000)
    try file.update(patience: .seconds(5)) { ledger throws(AccessFileError) in
      try ledger.add(record, now: 1_600_000_000)
    }
    return file
  }

  func startLink() {
    var ticket = Ticket(
      identity: TunnelWorld.shareIdentity.publicKey, capability: options.ticketCapability,
      port: 3_000, addresses: options.hasAddress ? [share.socket.localAddress] : [])
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
    meeting.path = options.path
    let linkMeeting = LinkMeeting(
      meeting: meeting, clients: clients, peer: ticket.identity, loop: loop)
    if options.path == .direct { linkMeeting.patience = options.waitDirect }
    core.meeting = linkMeeting
    core.path = options.path
    core.waitDirect = options.waitDirect
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
    greetings += 1
    let greeting = Array("hello, for the \(greetings). time".utf8)
    program.send(greeting)
    return loop.run(for: .seconds(5)) { targets.programs.contains { $0.received == greeting } }
  }

  /// How long until something passes; nil if it does not in time.
  func timeToCarry(within limit: Duration) -> Duration? {
    let began = loop.now
    while loop.now - began < limit {
      if carries() { return loop.now - began }
    }
    return nil
  }

  /// What the link's session uses now.
  var carrier: CarrierKind? { linkCore?.statistics.path?.carrier }

  /// The number of the relay that it goes through.
  var relayInUse: Int? {
    guard let path = linkCore?.statistics.path, path.carrier == .relay else { return nil }
    return relays.indices.first { Self.relayHost($0).with(port: SimRelay.port) == path.remote }
  }

  /// The relay is killed and starts again at its place.
  func restartRelay(_ number: Int = 0, after pause: Duration) throws {
    relays[number].vanish()
    loop.run(for: pause)
    relays[number] = try SimRelay(
      network: network, host: Self.relayHost(number), identity: Self.relayIdentity(number))
  }

  private func meet(_ side: Side, role: MeetingRole) -> (MeetingCore, [RendezvousClient]) {
    let host = side.socket.localAddress.with(port: 0)
    let sockets = PunchSockets(
      main: side.socket, endpoint: side.endpoint, registry: side.registry
    ) { [network, options, count = Count()] in
      count.value += 1
      return count.value <= options.socketsMax ? network.bind(host) : nil
    }
    var seed = options.seed &* 31 &+ UInt64(side.identity.publicKey.bytes[0])
    let environment = MeetingCore.Environment(
      interfaces: { [weak side] in
        side?.looks += 1
        return [InterfaceAddress(address: host, prefixLength: 24)]
      },
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
    let clients = (0..<options.relayCount).map {
      RendezvousClient(
        rendezvous: rendezvous($0), endpoint: side.endpoint, registry: side.registry,
        dialer: side.dialer, policy: .automatic, loop: loop,
        wallClock: { [options, loop] in options.wallClock + loop.now.nanoseconds / 1_000_000_000 },
        jitter: { 0.5 })
    }
    return (meeting, clients)
  }

  private final class Count {
    var value = 0
  }
}
