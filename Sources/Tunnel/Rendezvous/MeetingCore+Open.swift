internal import HolePunch
internal import QuicTransport

extension MeetingCore {
  /// A meeting on real sockets, with a client for each rendezvous. Called on the loop.
  static func open(
    identity: PublicKey, role: MeetingRole, rendezvous: [RendezvousAddress],
    stunServers: [SocketAddress], endpoint: EndpointCore, socket: UDPSocket,
    registry: PathRegistry, dialer: CarrierDialer, policy: CarrierPolicy, path: PathPolicy,
    mapsPort: Bool, loop: EpollLoop, onEvent: @escaping (MeetingEvent) -> Void
  ) -> (MeetingCore, [RendezvousClient]) {
    let bound = socket.localAddress
    let sockets = PunchSockets(main: socket, endpoint: endpoint, registry: registry) {
      try? UDPSocket(
        loop: loop, binding: bound.with(port: 0), bufferBytes: punchBufferBytes)
    }
    let environment = Environment(
      interfaces: {
        NetworkInterfaces.networks().map {
          InterfaceAddress(address: $0.address, prefixLength: $0.prefixLength)
        }
      },
      bound: bound, punch: PunchSettings(),
      probesLoopback: rendezvous.allSatisfy { $0.addresses.allSatisfy(\.isLoopback) },
      random: { SystemRandomNumberGenerator() })
    let meeting = MeetingCore(
      identity: identity, role: role, sockets: sockets, stunServers: stunServers,
      environment: environment, loop: loop, onEvent: onEvent)
    meeting.path = path
    // Peers on one machine need no gateway.
    if mapsPort, !environment.probesLoopback, !bound.isLoopback {
      meeting.mapping = MappedPort(of: socket, loop: loop)
    }
    meeting.legs = RelayedSockets(endpoint: endpoint, registry: registry, loop: loop)
    registry.onOther = { [weak meeting] in meeting?.receive($0, now: $1) }
    let clients = rendezvous.prefix(RendezvousAddress.countMax).map { rendezvous in
      RendezvousClient(
        rendezvous: rendezvous, endpoint: endpoint, registry: registry, dialer: dialer,
        policy: policy, loop: loop, wallClock: WallClock.now,
        jitter: { Double.random(in: 0...1) })
    }
    return (meeting, clients)
  }

  /// What is asked of the kernel for a socket that may become a path.
  private static let punchBufferBytes = 1024 * 1024
}
