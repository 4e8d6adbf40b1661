internal import QuicTransport

/// A local address that is open for one service. Called on the loop.
struct LocalListener {
  /// The service and the address with its real port.
  let service: OpenedService
  /// Takes no more connections and gives the address back; safe to call again.
  let close: () -> Void

  /// Begins to listen; each connection, or each program that writes to a UDP address, becomes a flow
  /// of `core`.
  static func open(
    _ opening: PlannedOpening, credentials: ProxyCredentials?, loop: EpollLoop, core: LinkCore
  ) throws(TunnelError) -> LocalListener {
    let service = opening.service
    let (accept, stop) = receiver(of: opening, credentials, loop, core)
    do throws(RuntimeError) {
      switch service.address {
      case .tcp(let address):
        let listener = try TCPListener(loop: loop, binding: address) { socket, remote in
          accept(socket, socket.localAddress.map { NetworkPath(local: $0, remote: remote) })
        }
        let bound = OpenedService(
          name: service.name, address: .tcp(listener.localAddress), isProxy: service.isProxy)
        return LocalListener(service: bound) {
          listener.close()
          stop()
        }
      case .udp(let address):
        let socket = try UDPSocket(
          loop: loop, opening: .programs(address), bufferBytes: SessionSettings.socketBufferBytes)
        let programs = ProgramDatagrams(socket: socket, gather: core.gather) { [weak core] end in
          core?.openDatagramFlow(to: service.name, end: end)
        }
        let bound = OpenedService(
          name: service.name, address: .udp(socket.localAddress), isProxy: false)
        return LocalListener(service: bound, close: programs.close)
      case .unix(let path):
        let listener = try UnixListener(loop: loop, path: path) { socket in accept(socket, nil) }
        return LocalListener(service: service) {
          listener.close()
          stop()
        }
      }
    } catch {
      throw .cannotListen(service, error)
    }
  }

  /// What becomes of a connection, and what ends those that have become nothing yet.
  private static func receiver(
    of opening: PlannedOpening, _ credentials: ProxyCredentials?, _ loop: EpollLoop,
    _ core: LinkCore
  ) -> (accept: (any StreamSocket, NetworkPath?) -> Void, stop: () -> Void) {
    let pass = { [weak core] (socket: any StreamSocket, wish: FlowWish) in
      guard let core else { return socket.close(resetting: true) }
      core.accept(socket, wish: wish)
    }
    let name = opening.service.name
    if opening.service.isProxy {
      let associations = SocksAssociations(
        loop: loop, gather: core.gather,
        isOffered: { [weak core] in core?.takesNamedDatagrams == true },
        bind: { address throws(RuntimeError) in
          try UDPSocket(
            loop: loop, opening: .programs(address), bufferBytes: SessionSettings.socketBufferBytes)
        },
        open: { [weak core] end in core?.openDatagramFlow(to: name, end: end) })
      let door = ProxyDoor(
        service: name, credentials: credentials, loop: loop, associations: associations,
        wished: pass)
      return (door.accept, door.close)
    }
    let wish =
      opening.destination.map { FlowWish(header: FlowHeader(service: name, destination: $0)) }
      ?? .service(name)
    return ({ socket, _ in pass(socket, wish) }, {})
  }
}
