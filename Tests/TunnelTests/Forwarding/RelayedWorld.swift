import QuicTransport
import Simulation

@testable import Tunnel

/// A share, a link and a relay between them: real QUIC, real sessions, virtual time.
final class RelayedWorld {
  let loop = SimLoop()
  let network: SimNetwork
  let relay: SimRelay
  let link: LinkCore
  let share: ShareCore
  let linkGuest: RelayGuest
  let shareGuest: RelayGuest
  let linkSocket: SimSocket
  let targets: SimTargets
  let linkEndpoint: EndpointCore
  let linkJournal = Journal()
  private let shareEndpoint: EndpointCore
  /// For the road to the relay, as a link has one of its own for that.
  private let relayDialer: CarrierDialer
  private let outcome = Outcome()

  private final class Outcome {
    var isOpen = false
    var errors: [TunnelError] = []
  }

  var isOpen: Bool { outcome.isOpen }
  var errors: [TunnelError] { outcome.errors }

  static let linkHost = SocketAddress(ipv4: 0x0a00_0005, port: 0)
  static let shareHost = SocketAddress(ipv4: 0x0a01_0005, port: 0)

  /// 10 ms from everybody to the relay, 20 ms between the two.
  init(
    limits: RelayLimits = RelayLimits(), seed: UInt64 = 1,
    translator: SimNAT.Settings? = nil, retry: RetryPolicy = .never
  ) throws {
    var defaults = LinkSettings()
    defaults.latency = .milliseconds(10)
    network = SimNetwork(loop: loop, seed: seed, defaults: defaults)
    network.configure(Self.linkHost, Self.shareHost) { $0.latency = .milliseconds(20) }
    if let translator {
      for (outside, host) in [
        (SocketAddress.clientHost, Self.linkHost), (.otherHost, Self.shareHost),
      ] {
        network.addTranslator(at: outside, translator).attach(host)
      }
    }
    relay = try SimRelay(network: network, host: .serverHost, limits: limits)
    targets = SimTargets(loop: loop)
    targets.capacity = 65_536
    let settings = TunnelWorld.sessionSettings
    shareEndpoint = try EndpointCore(
      loop: loop,
      settings: settings.endpointSettings(
        identity: TunnelWorld.shareIdentity, acceptsConnections: true))
    linkEndpoint = try EndpointCore(
      loop: loop,
      settings: settings.endpointSettings(
        identity: TunnelWorld.linkIdentity, acceptsConnections: false))
    shareEndpoint.add(network.bind(Self.shareHost.with(port: TunnelWorld.sharePort)))
    linkSocket = network.bind(Self.linkHost.with(port: 5_000))
    linkEndpoint.add(linkSocket)
    let shareRegistry = PathRegistry(endpoint: shareEndpoint)
    let linkRegistry = PathRegistry(endpoint: linkEndpoint)
    let carriers = try CarrierListener(
      endpoint: shareEndpoint, registry: shareRegistry, serverName: "localhost", loop: loop)
    let names = SimNames(loop: loop)
    share = try ShareCore(
      endpoint: shareEndpoint, registry: shareRegistry, carriers: carriers, loop: loop,
      gate: Gate(
        root: TunnelWorld.capability, rules: AccessRules(tickets: nil, allowed: nil),
        wallClock: { TunnelWorld.startTime }),
      services: [Service(name: "", target: .tcp([SimTargets.web]))], udpTimeout: .seconds(60),
      connect: targets.connect, connectDatagrams: SimDatagramTargets(network: network).connect,
      finder: names.finder, onEvent: { _ in })
    // TCP of the link leads to the relay.
    let tcp = SimTCP(loop: loop, passes: true, listener: relay.core.carriers)
    relayDialer = try CarrierDialer(
      endpoint: linkEndpoint, registry: linkRegistry, loop: loop, proxy: nil, connect: tcp.connect)
    let dialer = try CarrierDialer(
      endpoint: linkEndpoint, registry: linkRegistry, loop: loop, proxy: nil, connect: tcp.connect)
    link = LinkCore(
      endpoint: linkEndpoint, registry: linkRegistry, dialer: dialer, loop: loop,
      ticket: Ticket(
        identity: TunnelWorld.shareIdentity.publicKey, capability: TunnelWorld.capability,
        port: 3_000, addresses: []),
      policy: .automatic, retry: retry, udpTimeout: .seconds(60), random: { 0.5 },
      onEvent: linkJournal.note,
      opened: { [outcome] in outcome.isOpen = true },
      over: { [outcome] in outcome.errors.append($0) })
    shareGuest = RelayGuest(
      endpoint: shareEndpoint, registry: shareRegistry, loop: loop, saying: [.register])
    linkGuest = RelayGuest(
      endpoint: linkEndpoint, registry: linkRegistry, loop: loop,
      saying: [.find(.init(peer: TunnelWorld.shareIdentity.publicKey, token: [1]))])
    try shareGuest.connect(to: relay)
    loop.run(for: .seconds(1))
  }

  /// The link goes to the relay, and the session begins there.
  func open(overTCP: Bool = false) throws {
    linkGuest.onLeg = { [weak self] leg in self?.link.roadFound(leg.path) }
    if overTCP {
      relayDialer.open(relay.socket.localAddress, kind: .tcp, besides: nil) { [weak self] result in
        guard let self, let carrier = try? result.get() else { return }
        try? linkGuest.connect(to: relay, over: carrier.path)
      }
    } else {
      try linkGuest.connect(to: relay)
    }
    _ = loop.run(for: .seconds(10)) { isOpen || !errors.isEmpty }
  }

  /// The road that punching would find.
  var direct: NetworkPath {
    NetworkPath(
      local: linkSocket.localAddress, remote: Self.shareHost.with(port: TunnelWorld.sharePort))
  }

  var carrier: CarrierKind? { link.statistics.path?.carrier }

  func connect() -> LocalProgram {
    let (near, far) = SimStreamSocket.pair(
      loop: loop, capacity: 65_536, latency: SimTargets.latency)
    link.accept(near, wish: .service(""))
    return LocalProgram(far)
  }

  func setDirect(blackhole: Bool) {
    network.configure(Self.linkHost, Self.shareHost) { $0.isBlackhole = blackhole }
  }
}
