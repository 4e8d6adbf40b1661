import QuicTransport
import Simulation
import Testing

@testable import Tunnel

/// A relay has thousands of nodes that only wait.
@Suite("An idle node", .timeLimit(.minutes(1)))
struct IdleNodeTests {
  @Test("a keep-alive every 15 s and its acknowledgement are all that it and its relay say")
  func packets() throws {
    let world = try MeetingWorld { $0.relays = true }
    try world.startShare()
    world.loop.run(for: .seconds(60))
    #expect(world.share.readyCount == 1)
    let before = world.network.sentCount
    world.loop.run(for: .seconds(600))
    let count = world.network.sentCount - before
    // ngtcp2 wants some of the acknowledgements acknowledged.
    #expect(count <= 3 * 600 / 15, "\(count) packets in ten minutes")
    // It is still there: somebody else finds it.
    #expect(world.share.readyCount == 1)
    world.startLink()
    #expect(world.timeToOpen(within: .seconds(5)) != nil)
  }

  @Test("nobody is woken but to send a keep-alive and to read what comes")
  func wakes() throws {
    let world = try WaitingNodes(count: 1, policy: .only(.udp))
    let count = world.wakes(in: .seconds(600))
    // The node for its PING, the relay for that, the node for the acknowledgement. To every second
    // one ngtcp2 adds a PING: the node for its late acknowledgement, the relay for that. And behind
    // each packet, microseconds later, ngtcp2's pacer: five packets in two exchanges.
    #expect(count <= 600 / 15 * 13 / 2, "\(count) in ten minutes")
    #expect(world.openedCount == 1 && world.lossCount == 0)
  }

  @Test("a carrier in use has no timer of its own")
  func timersOverTCP() throws {
    func timersOfNode(_ kind: CarrierKind) throws -> Int {
      let single = try WaitingNodes(count: 1, policy: .only(kind))
      let several = try WaitingNodes(count: 5, policy: .only(kind))
      #expect(several.openedCount == 5 && several.lossCount == 0)
      return (several.loop.timerCount - single.loop.timerCount) / 4
    }
    #expect(try timersOfNode(.tcp) == timersOfNode(.udp))
  }
}

/// Nodes that are at a relay and want nothing of it.
private final class WaitingNodes: RendezvousClientOwner {
  let loop = SimLoop()
  private let network: SimNetwork
  private let relay: SimRelay
  private var clients: [RendezvousClient] = []
  private(set) var openedCount = 0
  private(set) var lossCount = 0

  init(count: Int, policy: CarrierPolicy) throws {
    network = SimNetwork(loop: loop, seed: 1, defaults: LinkSettings(latency: .milliseconds(20)))
    relay = try SimRelay(network: network, host: .serverHost)
    let tcp = SimTCP(loop: loop, passes: true, listener: relay.core.carriers)
    for number in 0..<count {
      let endpoint = try EndpointCore(
        loop: loop,
        settings: TunnelWorld.sessionSettings.endpointSettings(
          identity: .fixture(UInt8(20 + number)), acceptsConnections: false))
      endpoint.add(network.bind(SocketAddress(ipv4: 0x0a00_0005 + UInt32(number), port: 0)))
      let registry = PathRegistry(endpoint: endpoint)
      let client = RendezvousClient(
        rendezvous: RendezvousAddress(
          key: SimRelay.identity.publicKey, addresses: [relay.socket.localAddress]),
        endpoint: endpoint, registry: registry,
        dialer: try CarrierDialer(
          endpoint: endpoint, registry: registry, loop: loop, proxy: nil, connect: tcp.connect),
        policy: policy, loop: loop, wallClock: { 1_800_000_000 }, jitter: { 0.5 })
      client.owner = self
      clients.append(client)
      client.start()
      // Each at a time of its own.
      loop.run(for: .milliseconds(1_710))
    }
    loop.run(for: .seconds(60))
  }

  /// How often anybody is woken meanwhile.
  func wakes(in duration: Duration) -> Int {
    let before = loop.wakeCount
    loop.run(for: duration)
    return loop.wakeCount - before
  }

  func rendezvousOpened(_ client: RendezvousClient, _ welcome: RelayMessage.Welcome) {
    openedCount += 1
  }

  func rendezvousLost(
    _ client: RendezvousClient, because reason: QuicError?, retryIn: Duration
  ) {
    lossCount += 1
  }

  func rendezvousGreeted(_ client: RendezvousClient) {}
  func rendezvous(_ client: RendezvousClient, said message: RelayMessage) {}
  func rendezvous(_ client: RendezvousClient, movedFrom old: NetworkPath, to road: NetworkPath) {}
  func rendezvous(_ client: RendezvousClient, isSilent: Bool) {}
}
