import QuicTransport
import Simulation
import Testing

@testable import Tunnel

/// A share and a link on a simulated network, with real QUIC between them and programs in memory
/// at both ends.
final class TunnelWorld {
  static let shareIdentity = Identity.fixture(1)
  static let linkIdentity = Identity.fixture(2)
  static let capability = SecretBytes([UInt8](0..<16))
  /// When the virtual time begins, in seconds since 1970.
  static let startTime: UInt64 = 1_800_000_000
  static let sharePort: UInt16 = 4_433
  static let sessionSettings = SessionSettings(
    idleTimeout: .seconds(30), udpTimeout: .seconds(60), congestionControl: .cubic,
    allowsKeyLog: false)

  let loop = SimLoop()
  let network: SimNetwork
  let targets: SimTargets
  /// What the sharing side's resolver knows.
  let names: SimNames
  let datagramTargets: SimDatagramTargets
  /// Where the sharing side listens for the link.
  let listeners: SimListeners
  /// What is behind the link's own side of such listeners.
  let linkTargets: SimTargets
  private(set) var share: ShareCore
  let link: LinkCore
  private(set) var shareEndpoint: EndpointCore
  let linkEndpoint: EndpointCore
  private let linkSocket: SimSocket
  let shareSocket: SimSocket
  let shareJournal = Journal()
  let linkJournal = Journal()
  /// Programs that connected to the link, in order.
  private(set) var programs: [LocalProgram] = []
  /// TCP between the two sides.
  let tcp: SimTCP
  private let outcome = Outcome()
  private let options: Options

  /// How a world differs from the plain one.
  struct Options {
    var seed: UInt64 = 1
    var network = LinkSettings()
    /// Addresses in the ticket; empty leaves the share's own.
    var addresses: [SocketAddress]?
    var ticketCapability = TunnelWorld.capability
    /// What limits the ticket.
    var grant: Grant?
    var access = AccessRules(tickets: nil, allowed: nil)
    var ticketIdentity = TunnelWorld.shareIdentity
    var services = [Service(name: "", target: .tcp([SimTargets.web]))]
    var shareSettings = TunnelWorld.sessionSettings.endpointSettings(
      identity: TunnelWorld.shareIdentity, acceptsConnections: true)
    var linkSettings = TunnelWorld.sessionSettings.endpointSettings(
      identity: TunnelWorld.linkIdentity, acceptsConnections: false)
    /// Bytes that a local connection buffers in each direction.
    var capacity = 65_536
    var carriers = CarrierPolicy.automatic
    var udpTimeout = Duration.seconds(60)
    /// Where the share lets peers listen.
    var listenRules: String?
    /// Where the link asks it to.
    var remoteListeners: [RemoteListener] = []
    var retry = RetryPolicy.never
    /// Whether TCP reaches the share; where it does not, it is refused.
    var tcpPasses = false
    /// What the link's TCP goes through.
    var proxy: HTTPProxy?
  }

  private final class Outcome {
    var openedCount = 0
    var errors: [TunnelError] = []
  }

  init(_ configure: (inout Options) -> Void = { _ in }) throws {
    var options = Options()
    // The same after a restart, as `Endpoint` makes it.
    options.shareSettings.resetKey = SecretBytes([UInt8](repeating: 7, count: 32))
    configure(&options)
    self.options = options
    network = SimNetwork(loop: loop, seed: options.seed, defaults: options.network)
    targets = SimTargets(loop: loop)
    names = SimNames(loop: loop)
    targets.capacity = options.capacity
    listeners = SimListeners(loop: loop)
    linkTargets = SimTargets(loop: loop)
    let datagramTargets = SimDatagramTargets(network: network)
    self.datagramTargets = datagramTargets
    shareEndpoint = try EndpointCore(loop: loop, settings: options.shareSettings)
    linkEndpoint = try EndpointCore(loop: loop, settings: options.linkSettings)
    shareSocket = network.bind(Self.shareAddress)
    shareEndpoint.add(shareSocket)
    linkSocket = network.bind(.clientHost)
    linkEndpoint.add(linkSocket)
    let shareRegistry = PathRegistry(endpoint: shareEndpoint)
    let carriers = try CarrierListener(
      endpoint: shareEndpoint, registry: shareRegistry, serverName: "localhost", loop: loop)
    share = try ShareCore(
      endpoint: shareEndpoint, registry: shareRegistry, carriers: carriers, loop: loop,
      gate: Gate(
        root: Self.capability, rules: options.access,
        wallClock: { [loop] in Self.startTime + UInt64(loop.elapsed.components.seconds) }),
      services: options.services, udpTimeout: options.udpTimeout, connect: targets.connect,
      connectDatagrams: datagramTargets.connect, finder: names.finder,
      onEvent: shareJournal.note)
    var ticket = Ticket(
      identity: options.ticketIdentity.publicKey, capability: options.ticketCapability,
      port: 3_000, addresses: options.addresses ?? [Self.shareAddress])
    if let grant = options.grant { ticket = ticket.restricted(to: grant) }
    let linkRegistry = PathRegistry(endpoint: linkEndpoint)
    let tcp = SimTCP(loop: loop, passes: options.tcpPasses, listener: carriers)
    self.tcp = tcp
    let dialer = try CarrierDialer(
      endpoint: linkEndpoint, registry: linkRegistry, loop: loop, proxy: options.proxy,
      connect: tcp.connect)
    link = LinkCore(
      endpoint: linkEndpoint, registry: linkRegistry, dialer: dialer, loop: loop, ticket: ticket,
      policy: options.carriers, retry: options.retry, udpTimeout: options.udpTimeout,
      random: { 0.5 }, onEvent: linkJournal.note,
      opened: { [outcome] in outcome.openedCount += 1 },
      over: { [outcome] in outcome.errors.append($0) })
    try offerListening()
    if !options.remoteListeners.isEmpty {
      link.remoteListeners = RemoteListeners(
        options.remoteListeners, loop: loop, connect: linkTargets.connect,
        onEvent: linkJournal.note)
    }
  }

  static let shareAddress = SocketAddress.serverHost.with(port: sharePort)

  /// How often the link said that it is open.
  var openedCount: Int { outcome.openedCount }
  /// Why the link said that it is over.
  var errors: [TunnelError] { outcome.errors }

  /// Dials and runs until the session is open at both ends.
  func open() throws {
    link.start()
    let isOpen = loop.run(for: .seconds(10)) { openedCount == 1 && shareJournal.opened > 0 }
    try #require(isOpen, "no session: \(errors)")
  }

  /// A local program connects to what the link opened for a service.
  func connect(to service: String = "") -> LocalProgram {
    connect(.service(service))
  }

  /// A local program connects, and its connection shall become this.
  func connect(_ wish: FlowWish) -> LocalProgram {
    let (near, far) = SimStreamSocket.pair(
      loop: loop, capacity: options.capacity, latency: SimTargets.latency)
    let program = LocalProgram(far)
    programs.append(program)
    link.accept(near, wish: wish)
    return program
  }

  /// Runs until `condition` holds.
  func wait(
    _ duration: Duration = .seconds(60), until condition: () -> Bool,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let holds = loop.run(for: duration, until: condition)
    #expect(holds, "still waiting after \(duration)", sourceLocation: sourceLocation)
  }

  /// The sharing process dies without a word, and another one takes its place.
  func restartShare() throws {
    shareEndpoint.shutDown()
    shareEndpoint = try EndpointCore(loop: loop, settings: options.shareSettings)
    shareEndpoint.add(network.bind(Self.shareAddress))
    let registry = PathRegistry(endpoint: shareEndpoint)
    let carriers = try CarrierListener(
      endpoint: shareEndpoint, registry: registry, serverName: "localhost", loop: loop)
    share = try ShareCore(
      endpoint: shareEndpoint, registry: registry, carriers: carriers, loop: loop,
      gate: Gate(
        root: Self.capability, rules: options.access,
        wallClock: { [loop] in Self.startTime + UInt64(loop.elapsed.components.seconds) }),
      services: options.services, udpTimeout: options.udpTimeout, connect: targets.connect,
      connectDatagrams: datagramTargets.connect, finder: names.finder,
      onEvent: shareJournal.note)
    listeners.closeAll()
    try offerListening()
  }

  private func offerListening() throws {
    share.reverseOffer = try options.listenRules.map {
      ReverseOffer(rules: try ListenRules($0), listen: listeners.listen)
    }
  }

  /// No datagram reaches the other side any more.
  func cutNetwork() {
    network.configure(.clientHost, .serverHost) { $0.isBlackhole = true }
  }

  /// The link's NAT forgets its binding and makes another one.
  func rebindLink(port: UInt16) {
    linkSocket.rebind(to: linkSocket.localAddress.with(port: port))
  }

  /// The share's NAT does.
  func rebindShare(port: UInt16) {
    shareSocket.rebind(to: shareSocket.localAddress.with(port: port))
  }

  /// Datagrams pass again.
  func mendNetwork() {
    network.configure(.clientHost, .serverHost) { $0.isBlackhole = false }
  }
}
