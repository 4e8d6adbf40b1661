import Glibc
import HolePunch
import Simulation

@testable import QuicTransport
@testable import Tunnel

/// A relay with public ports, nodes that share there, and visitors.
final class PublicWorld {
  let loop = SimLoop()
  let network: SimNetwork
  let ports: SimPublicPorts
  private(set) var relay: SimRelay
  private(set) var listeners: PublicListeners
  /// What the relay has in its file.
  private(set) var file: [UInt8] = []
  private var leases: LeaseFile?
  private(set) var relayEvents: [RelayEvent] = []
  private let options: Options
  /// TCP to the relay, for nodes that have no UDP.
  private var tcp: SimTCP
  private var hosts: UInt32 = 0

  struct Options {
    var range: ClosedRange<UInt16>? = 10_000...10_003
    var limits = PublicLimits()
    var names = ["*.example.com"]
    var access = RelayAccess.open
    var roundTrip = Duration.milliseconds(20)
    var hasDoor = false
    /// HTTPS and HTTP/3 that end at the relay, for `server.test`.
    var hasHTTPS = false
  }

  static let door = SocketAddress.serverHost.with(port: 8_080)
  static let tlsDoor = SocketAddress.serverHost.with(port: 8_443)

  init(_ configure: (inout Options) -> Void = { _ in }) throws {
    var options = Options()
    configure(&options)
    self.options = options
    var settings = LinkSettings()
    settings.latency = options.roundTrip / 2
    network = SimNetwork(loop: loop, seed: 1, defaults: settings)
    ports = SimPublicPorts(network: network)
    (relay, listeners) = try Self.start(network, ports, options, LeaseBook(ports: options.range))
    tcp = SimTCP(loop: loop, passes: true, listener: relay.core.carriers)
    watch()
  }

  private static func start(
    _ network: SimNetwork, _ ports: SimPublicPorts, _ options: Options, _ book: LeaseBook
  ) throws -> (SimRelay, PublicListeners) {
    let relay = try SimRelay(
      network: network, host: .serverHost, access: options.access, listensPublicly: true)
    let listeners = PublicListeners(
      book: book, access: PublicAccess(names: try NameRules(options.names)),
      limits: options.limits, sockets: ports.sockets, host: "relay.example",
      loop: network.loop, onEvent: { _ in })
    if options.hasDoor { try listeners.openDoor(.http, at: door) }
    if options.hasHTTPS {
      try listeners.openDoor(.tls, at: tlsDoor)
      try listeners.openHTTPS(
        with: Tunnel.CertificateFiles(
          certificate: SourceFile.path(fixtures + "server.pem"),
          key: SourceFile.path(fixtures + "server-key.pem")))
    }
    relay.core.publicListeners = listeners
    return (relay, listeners)
  }

  private func watch() {
    let leases = LeaseFile(
      loop: loop, lock: nil,
      write: { [weak self] bytes throws(AccessFileError) in self?.file = bytes },
      onProblem: { _ in })
    listeners.onLeases = { [weak self] in
      self?.leases?.save {
        self.map { LeaseText.encode($0.listeners.book, time: $0.time, now: $0.loop.now) }
      }
    }
    listeners.whenLeasesAreKept = { [weak leases] in leases?.whenSaved($0) }
    self.leases = leases
  }

  private static let fixtures = "Tests/QuicTransportTests/Fixtures/"

  /// Seconds since 1970.
  private var time: UInt64 { 1_800_000_000 + loop.now.nanoseconds / 1_000_000_000 }

  /// kill -9, and a new start with what is in the file.
  func restartRelay(after pause: Duration) throws {
    relay.vanish()
    tcp.resetAll()
    tcp.passes = false
    listeners.close()
    ports.closeAll()
    loop.run(for: pause)
    let book = try LeaseText.decode(
      file, ports: options.range, kept: options.limits.leaseKept, time: time, now: loop.now)
    (relay, listeners) = try Self.start(network, ports, options, book)
    tcp = SimTCP(loop: loop, passes: true, listener: relay.core.carriers)
    watch()
  }

  /// A node that shares `SimTargets.web` publicly.
  func share(
    _ key: UInt8, kind: PublicKind = .tcp, port: UInt16 = 0, name: String = "",
    group: PublicGroup? = nil, latency: Duration? = nil, hasUDP: Bool = true,
    health: HealthCheck? = nil, prepare: (SimTargets) -> Void = { _ in }
  ) throws -> PublicNode {
    hosts += 1
    let host = SocketAddress(ipv4: 0xc633_6400 + hosts, port: 0)
    if let latency { network.configure(host, .serverHost) { $0.latency = latency } }
    let wish = PublicWish(service: "", kind: kind, port: port, name: name)
    if !hasUDP { network.configure(host, .serverHost) { $0.isBlackhole = true } }
    let node = try PublicNode(
      network: network, host: host, key: key, wish: wish, group: group, health: health
    ) { [weak self] address throws(RuntimeError) in
      guard !hasUDP, let self else { throw .system("connect", ECONNREFUSED) }
      return try tcp.connect(address)
    }
    prepare(node.targets)
    node.health?.start()
    node.client.start()
    _ = loop.run(for: .seconds(5)) { node.answers > 0 }
    return node
  }

  func settle(_ time: Duration = .seconds(1)) { loop.run(for: time) }
}

/// A share, as far as its relay goes.
final class PublicNode {
  let client: RendezvousClient
  let places: PublicPlaces
  let targets: SimTargets
  let datagramTargets: SimDatagramTargets
  let journal = Journal()
  let endpoint: EndpointCore
  let health: HealthWatch?
  private let registry: PathRegistry

  init(
    network: SimNetwork, host: SocketAddress, key: UInt8, wish: PublicWish, group: PublicGroup?,
    health check: HealthCheck?, connect: @escaping CarrierDialer.Connect
  ) throws {
    let identity = Identity.fixture(key)
    endpoint = try EndpointCore(
      loop: network.loop,
      settings: TunnelWorld.sessionSettings.endpointSettings(
        identity: identity, acceptsConnections: true))
    endpoint.add(network.bind(host))
    registry = PathRegistry(endpoint: endpoint)
    let dialer = try CarrierDialer(
      endpoint: endpoint, registry: registry, loop: network.loop, proxy: nil, connect: connect)
    client = RendezvousClient(
      rendezvous: RendezvousAddress(
        key: SimRelay.identity.publicKey, addresses: [.serverHost.with(port: SimRelay.port)]),
      endpoint: endpoint, registry: registry, dialer: dialer, policy: .automatic,
      loop: network.loop, wallClock: { 1_800_000_000 }, jitter: { 0.5 })
    targets = SimTargets(loop: network.loop)
    datagramTargets = SimDatagramTargets(network: network)
    let target: Service.Target =
      wish.kind == .udp ? .udp([SimDatagramTargets.dns]) : .tcp([SimTargets.web])
    var service = Service(name: "", target: target)
    service.proxyProtocol = wish.name == "proxied.example.com" ? .v1 : nil
    var configuration = Share.Configuration.standard(identity: identity, services: [service])
    configuration.publicGroup = group
    let (connect, note) = (targets.connect, journal.note)
    health = check.flatMap {
      HealthWatch(
        service: "", route: service.route, check: $0, loop: network.loop, connect: connect,
        onEvent: note)
    }
    var publicTargets = PublicPlaces.Targets(
      connect: targets.connect, connectDatagrams: datagramTargets.connect,
      udpTimeout: .seconds(60))
    publicTargets.health = health.map { [$0] } ?? []
    places = PublicPlaces(
      [(wish, service, configuration.label(of: service, for: wish))], group: group,
      relay: SimRelay.identity.publicKey,
      targets: publicTargets, loop: network.loop, onEvent: journal.note)
    client.publicPlaces = places
  }

  /// kill -9
  func vanish() { endpoint.shutDown() }

  var port: UInt16? { places.addresses.first?.port }

  var answers: Int { granted.count + refusals.count }

  var granted: [PublicAddress] {
    journal.events.compactMap { if case .publicListening(let place) = $0 { place } else { nil } }
  }

  var refusals: [PublicStatus] {
    journal.events.compactMap { event in
      if case .publicRefused(_, let status, _) = event { status } else { nil }
    }
  }
}

/// The addresses of the relay's machine, and visitors who connect there.
final class SimPublicPorts {
  private typealias Accept = (any StreamSocket, SocketAddress, SocketAddress) -> Void
  private var open: [SocketAddress: Accept] = [:]
  private var udp: [SocketAddress: SimSocket] = [:]
  /// Fail with this `errno`.
  var unusable: [UInt16: Int32] = [:]
  var capacity = 65_536
  private let network: SimNetwork

  static let visitor = SocketAddress.otherHost.with(port: 50_505)

  init(network: SimNetwork) {
    self.network = network
  }

  var tcpPorts: Set<UInt16> { Set(open.keys.map(\.port)) }

  var sockets: PublicSockets {
    PublicSockets(
      host: .serverHost,
      listen: { [self] address, accepted throws(RuntimeError) in
        try check(address)
        guard open[address] == nil else { throw .system("listen", EADDRINUSE) }
        open[address] = accepted
        return ServedListeners.OpenListener(address: address) { [weak self] in
          self?.open[address] = nil
        }
      },
      bindDatagrams: { [self] address throws(RuntimeError) in
        try check(address)
        let socket = network.bind(address)
        udp[address] = socket
        return socket
      },
      bindQuic: { [self] address throws(RuntimeError) in
        try check(address)
        return network.bind(address)
      })
  }

  private func check(_ address: SocketAddress) throws(RuntimeError) {
    if let code = unusable[address.port] { throw .system("listen", code) }
  }

  /// The process is gone.
  func closeAll() {
    open.removeAll()
    for socket in udp.values { socket.close() }
    udp.removeAll()
  }

  /// Somebody connects; nil where nobody listens.
  func visit(_ port: UInt16, from source: SocketAddress = visitor) -> LocalProgram? {
    let address = SocketAddress.serverHost.with(port: port)
    guard let accepted = open[address] else { return nil }
    let (near, far) = SimStreamSocket.pair(
      loop: network.loop, capacity: capacity, latency: SimTargets.latency)
    let program = LocalProgram(far)
    accepted(near, source, address)
    return program
  }
}
