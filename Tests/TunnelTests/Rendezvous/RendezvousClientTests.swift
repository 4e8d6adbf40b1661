import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("A node's connection to a rendezvous", .timeLimit(.minutes(1)))
struct RendezvousClientTests {
  /// A relay and a node, whose TCP to it is never answered.
  private final class World: RendezvousClientOwner {
    let loop = SimLoop()
    let network: SimNetwork
    private(set) var relay: SimRelay
    private(set) var openedCount = 0
    private(set) var losses: [QuicError?] = []
    private(set) var dialledCount = 0
    private var client: RendezvousClient?

    init() throws {
      network = SimNetwork(loop: loop, seed: 1, defaults: LinkSettings(latency: .milliseconds(10)))
      relay = try SimRelay(network: network, host: .serverHost)
      let endpoint = try EndpointCore(
        loop: loop,
        settings: TunnelWorld.sessionSettings.endpointSettings(
          identity: .fixture(1), acceptsConnections: false))
      endpoint.add(network.bind(.clientHost))
      let registry = PathRegistry(endpoint: endpoint)
      let dialer = try CarrierDialer(
        endpoint: endpoint, registry: registry, loop: loop, proxy: nil,
        connect: { [weak self, loop] _ throws(RuntimeError) in
          self?.dialledCount += 1
          return SimStreamSocket.failing(loop: loop, code: nil, latency: .milliseconds(10))
        })
      let client = RendezvousClient(
        rendezvous: RendezvousAddress(
          key: SimRelay.identity.publicKey,
          addresses: [SocketAddress.serverHost.with(port: SimRelay.port)]),
        endpoint: endpoint, registry: registry, dialer: dialer, policy: .automatic, loop: loop,
        wallClock: { 1_800_000_000 }, jitter: { 0.5 })
      client.owner = self
      self.client = client
      client.start()
    }

    func restartRelay() throws {
      relay.core.close()
      loop.run(for: .seconds(1))
      relay.vanish()
      relay = try SimRelay(network: network, host: .serverHost)
    }

    func rendezvousGreeted(_ client: RendezvousClient) {}

    func rendezvousOpened(_ client: RendezvousClient, _ welcome: RelayMessage.Welcome) {
      openedCount += 1
    }

    func rendezvous(_ client: RendezvousClient, said message: RelayMessage) {}

    func rendezvous(
      _ client: RendezvousClient, movedFrom old: NetworkPath, to road: NetworkPath
    ) {}

    func rendezvous(_ client: RendezvousClient, isSilent: Bool) {}

    func rendezvousLost(
      _ client: RendezvousClient, because reason: QuicError?, retryIn: Duration
    ) {
      losses.append(reason)
    }
  }

  @Test(
    "a handshake so slow that TCP is tried as well: a loss later on is told, and dialled after",
    arguments: [Duration.seconds(2), .seconds(30)])
  func slowHandshake(age: Duration) throws {
    let world = try World()
    world.network.configure(.clientHost, .serverHost) { $0.isBlackhole = true }
    world.loop.run(for: .milliseconds(400))
    world.network.configure(.clientHost, .serverHost) { $0.isBlackhole = false }
    // TCP has ten seconds for its answer.
    world.loop.run(for: age)
    try #require(world.openedCount == 1 && world.dialledCount > 0)
    try world.restartRelay()
    let isBack = world.loop.run(for: .seconds(20)) { world.openedCount == 2 }
    #expect(isBack && world.losses.count == 1, "\(world.losses)")
    guard case .application(RelayCode.shuttingDown, true, _)?? = world.losses.first else {
      Issue.record("\(world.losses)")
      return
    }
  }
}
