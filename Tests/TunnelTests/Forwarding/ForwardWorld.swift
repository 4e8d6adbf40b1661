import QuicTransport
import Simulation

@testable import Tunnel

/// A relay's forwarding and the two nodes of one session, without connections: datagrams go in and come out.
final class ForwardWorld {
  let loop = SimLoop()
  let network: SimNetwork
  let endpoint: EndpointCore
  let desk: ForwardingDesk
  var forwarder: Forwarder { desk.local }
  let relay: SocketAddress
  let one: Node
  let other: Node
  let session: SessionOrder
  private(set) var throttled: [(leg: Int, at: Instant)] = []
  private(set) var expired: [UInt32] = []
  private let registry: PathRegistry

  /// A node with one leg.
  final class Node: DatagramReceiver {
    let endpoint: EndpointCore
    let socket: SimSocket
    let sockets: RelayedSockets
    var leg: RelayedSocket!
    private(set) var received: [[UInt8]] = []
    private(set) var arrivals: [Instant] = []
    private let registry: PathRegistry

    init(loop: SimLoop, socket: SimSocket) throws {
      self.socket = socket
      endpoint = try EndpointCore(
        loop: loop,
        settings: TunnelWorld.sessionSettings.endpointSettings(
          identity: .fixture(1), acceptsConnections: false))
      endpoint.add(socket)
      let registry = PathRegistry(endpoint: endpoint)
      self.registry = registry
      sockets = RelayedSockets(endpoint: endpoint, registry: registry, loop: loop)
    }

    func take(_ grant: LegGrant, relay: SocketAddress) {
      let road = NetworkPath(local: socket.localAddress, remote: relay)
      leg = sockets.add(grant, road: road, relay: relay)
      leg.receiver = self
    }

    /// Sends datagrams of one size through the relay.
    func send(_ bytes: [UInt8], segmentSize: Int? = nil) {
      bytes.withUnsafeBytes { bytes in
        _ = leg.send(
          DatagramBatch(
            bytes: bytes, segmentSize: segmentSize ?? bytes.count, path: leg.path, ecn: .capable0))
      }
    }

    func receive(_ datagram: ReceivedDatagram, now: Instant) {
      received.append(Array(datagram.bytes))
      arrivals.append(now)
    }

    func datagramSocketWritable(_ socket: any DatagramSocket) {}
  }

  init(
    limits: ForwardingLimits = ForwardingLimits(), latency: Duration = .milliseconds(10)
  ) throws {
    var link = LinkSettings()
    link.latency = latency
    network = SimNetwork(loop: loop, seed: 1, defaults: link)
    let socket = network.bind(.serverHost)
    relay = socket.localAddress
    endpoint = try EndpointCore(
      loop: loop,
      settings: TunnelWorld.sessionSettings.endpointSettings(
        identity: .fixture(9), acceptsConnections: false))
    endpoint.add(socket)
    let registry = PathRegistry(endpoint: endpoint)
    self.registry = registry
    let desk = ForwardingDesk(endpoint: endpoint, loop: loop, limits: limits, team: nil)
    self.desk = desk
    registry.onRelayed = { [weak desk] in desk?.receive($0, now: $1) }
    one = try Node(loop: loop, socket: network.bind(.clientHost))
    other = try Node(loop: loop, socket: network.bind(.otherHost))
    session = try desk.open(
      between: Self.party(1, one, relay), and: Self.party(2, other, relay), payer: nil)
    one.take(Self.grant(session, 0), relay: relay)
    other.take(Self.grant(session, 1), relay: relay)
    desk.owner = self
  }

  static func party(_ number: UInt8, _ node: Node, _ relay: SocketAddress) -> ForwardingDesk.Party {
    let address = node.socket.publicAddress
    return ForwardingDesk.Party(
      identity: Identity.fixture(number).publicKey,
      path: NetworkPath(local: relay, remote: address), address: address.low)
  }

  static func grant(_ session: SessionOrder, _ leg: Int) -> LegGrant {
    LegGrant(
      session: session.number, generation: session.legs[leg].generation,
      key: session.legs[leg].key.withBytes { Array($0) })
  }

  func run(_ duration: Duration = .milliseconds(100)) { loop.run(for: duration) }
}

extension ForwardWorld: ForwardingOwner {
  func desk(
    _ desk: ForwardingDesk, throttled leg: ForwardedSession.LegID, to rate: Int
  ) {
    throttled.append((leg.leg, loop.now))
  }

  func desk(_ desk: ForwardingDesk, expired session: UInt32) { expired.append(session) }
}
