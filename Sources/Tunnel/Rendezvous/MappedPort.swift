internal import HolePunch
internal import QuicTransport

/// The port of the gateway that leads to our UDP socket: asked for as long as this node can be met,
/// and asked for anew where the way out of this network is another one.
///
///     idle --start--> asking, mapped or resting (PortMappingClient) --stop--> given back
///                        '--the default route changed--> asking the new gateway
final class MappedPort {
  /// The port that is mapped now.
  var current: PortMapper.Mapping? { client?.mapping }

  private let route: () -> Route?
  private let ask: (_ changed: @escaping () -> Void) -> PortMappingClient?
  private var changed: (() -> Void)?
  private var asked: Route?
  private var client: PortMappingClient?

  /// The way out of this network.
  struct Route: Equatable {
    var gateway: SocketAddress
    /// Our address towards it.
    var client: SocketAddress
  }

  /// - Parameters:
  ///   - route: the way of now; nil where there is none.
  ///   - ask: begins to ask the gateway of now.
  init(
    route: @escaping () -> Route?,
    ask: @escaping (_ changed: @escaping () -> Void) -> PortMappingClient?
  ) {
    self.route = route
    self.ask = ask
  }

  /// For a socket on a real network.
  convenience init(of socket: UDPSocket, loop: EpollLoop) {
    let port = socket.localAddress.port
    self.init(
      route: { [weak socket] in
        guard let socket, let gateway = DefaultGateway.ipv4() else { return nil }
        // Any port will do to ask the kernel for a route.
        let client = socket.sourceAddress(towards: gateway.with(port: 1))
        return client.isUnspecified
          ? nil : Route(gateway: gateway, client: client.with(port: 0))
      },
      ask: { changed in PortMappingClient.start(port: port, loop: loop, changed: changed) })
  }

  /// Begins.
  ///
  /// - Parameter changed: called on the loop, later, when `current` has changed.
  func start(changed: @escaping () -> Void) {
    self.changed = changed
    begin()
  }

  /// Asks another gateway, if there is another one now, or the same one for another address of ours.
  func lookAgain() {
    guard changed != nil, route() != asked else { return }
    let hadPort = current != nil
    release {}
    begin()
    if hadPort { changed?() }
  }

  /// Gives the port back; calls `completion` on the loop when the gateway has been told, or within
  /// half a second.
  func stop(completion: @escaping () -> Void) {
    changed = nil
    release(completion: completion)
  }

  private func begin() {
    asked = route()
    guard asked != nil else { return }
    client = ask { [weak self] in self?.changed?() }
  }

  private func release(completion: @escaping () -> Void) {
    guard let old = client else { return completion() }
    client = nil
    // It lives until the gateway has answered.
    old.stop { withExtendedLifetime(old, completion) }
  }
}
