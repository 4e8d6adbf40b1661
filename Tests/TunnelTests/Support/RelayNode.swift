import HolePunch
import QuicTransport
import Simulation

@testable import Tunnel

/// A relay on a simulated network.
final class SimRelay {
  static let identity = Identity.fixture(9)
  static let port: UInt16 = 3_478

  let core: RelayCore
  let endpoint: EndpointCore
  let socket: SimSocket
  let stun: STUNService
  private let registry: PathRegistry

  /// Told of what happens.
  private(set) var events: [RelayEvent] = []

  /// - Parameter wallClock: seconds since 1970.
  init(
    network: SimNetwork, host: SocketAddress, limits: RelayLimits = RelayLimits(),
    identity: Identity = SimRelay.identity, access: RelayAccess = .open,
    listensPublicly: Bool = false, wallClock: (() -> UInt64)? = nil
  ) throws {
    let loop = network.loop
    var settings = RelayCore.endpointSettings(
      identity: identity, limits: limits, listensPublicly: listensPublicly)
    // The same after a restart, as `Endpoint` makes it.
    settings.resetKey = Endpoint.resetKey(of: identity, at: host.with(port: Self.port))
    endpoint = try EndpointCore(loop: loop, settings: settings)
    socket = network.bind(host.with(port: Self.port))
    endpoint.add(socket)
    let registry = PathRegistry(endpoint: endpoint)
    self.registry = registry
    let carriers = try CarrierListener(
      endpoint: endpoint, registry: registry, serverName: "localhost", loop: loop)
    let stun = STUNService(
      endpoint: endpoint, port: Self.port, second: network.bind(host.with(port: Self.port + 1)))
    self.stun = stun
    registry.onOther = { [weak stun] in stun?.receive($0, now: $1) }
    let clock = wallClock ?? { 1_800_000_000 + loop.now.nanoseconds / 1_000_000_000 }
    var tell: (RelayEvent) -> Void = { _ in }
    core = RelayCore(
      endpoint: endpoint, registry: registry, carriers: carriers, loop: loop, limits: limits,
      gate: try RelayGate(access: access, wallClock: clock), stunPorts: stun.ports,
      time: clock(), team: nil, onEvent: { tell($0) })
    tell = { [weak self] in self?.events.append($0) }
  }

  /// Stops at once, as by SIGKILL: nobody is told.
  func vanish() {
    endpoint.shutDown()
    stun.close()
  }
}

/// A node that says to a relay what a test makes it say, and writes down what it hears.
final class RelayNode {
  let peer: RawPeer
  let identity: Identity
  private let loop: SimLoop
  private let registry: PathRegistry
  /// Answers the relay's questions about the path.
  private var paths: PathManager?

  init(network: SimNetwork, host: SocketAddress, identity: Identity) throws {
    loop = network.loop
    self.identity = identity
    peer = try RawPeer(
      loop: loop, socket: network.bind(host), identity: identity, acceptsConnections: false
    ) { $0.applicationProtocols = [RelayCore.applicationProtocol] }
    registry = PathRegistry(endpoint: peer.endpoint)
  }

  /// Dials and greets.
  func connect(to relay: SimRelay, capabilities: UInt64 = 0) throws {
    peer.onReady = { [weak self] peer in
      self?.answerProbes()
      let hello = RelayMessage.hello(.init(version: 1, capabilities: capabilities))
      _ = try? peer.open(sending: hello.encoded)
    }
    try peer.dial(relay.socket.localAddress, expecting: SimRelay.identity)
    _ = loop.run(for: .seconds(5)) { !heard.isEmpty || peer.error != nil }
  }

  private func answerProbes() {
    guard let connection = peer.connection, let keys = PathKeys(of: connection) else { return }
    let paths = PathManager(
      connection: connection, path: connection.currentPath, kind: .udp, keys: keys,
      endpoint: peer.endpoint, loop: loop)
    registry.add(paths)
    self.paths = paths
  }

  func say(_ messages: RelayMessage...) {
    for message in messages { try? peer.streams.first?.stream.write(message.encoded) }
  }

  /// What the relay said so far.
  var heard: [RelayMessage] {
    var decoder = MessageDecoder<RelayMessage>()
    decoder.append(peer.streams.first?.bytes ?? [])
    var messages: [RelayMessage] = []
    while case .message(let message) = decoder.next() { messages.append(message) }
    return messages
  }

  var plans: [RelayMessage.Plan] {
    heard.compactMap { if case .plan(let plan) = $0 { plan } else { nil } }
  }

  var knocks: [RelayMessage.Knock] {
    heard.compactMap { if case .knock(let knock) = $0 { knock } else { nil } }
  }

  /// An offer with one candidate.
  static func offer(_ number: UInt32, _ address: SocketAddress = .otherHost.with(port: 7))
    -> RelayMessage
  {
    .offer(
      NodeOffer(
        number: number,
        report: NATReport(
          mapping: .endpointIndependent, filtering: .addressAndPortDependent),
        candidates: [Candidate(address: address, kind: .reflexive)]))
  }
}
