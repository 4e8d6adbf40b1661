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
    _ service: OpenedService, loop: EpollLoop, core: LinkCore
  ) throws(TunnelError) -> LocalListener {
    let name = service.name
    do throws(RuntimeError) {
      switch service.address {
      case .tcp(let address):
        let listener = try TCPListener(loop: loop, binding: address) { [weak core] socket, _ in
          accept(socket, name, core)
        }
        let bound = OpenedService(name: name, address: .tcp(listener.localAddress))
        return LocalListener(service: bound, close: listener.close)
      case .udp(let address):
        let socket = try UDPSocket(
          loop: loop, opening: .programs(address), bufferBytes: SessionSettings.socketBufferBytes)
        let programs = ProgramDatagrams(socket: socket, gather: core.gather) { [weak core] end in
          core?.openDatagramFlow(to: name, end: end)
        }
        let bound = OpenedService(name: name, address: .udp(socket.localAddress))
        return LocalListener(service: bound, close: programs.close)
      case .unix(let path):
        let listener = try UnixListener(loop: loop, path: path) { [weak core] socket in
          accept(socket, name, core)
        }
        return LocalListener(service: service, close: listener.close)
      }
    } catch {
      throw .cannotListen(service, error)
    }
  }

  private static func accept(_ socket: any StreamSocket, _ name: String, _ core: LinkCore?) {
    guard let core else { return socket.close(resetting: true) }
    core.accept(socket, service: name)
  }
}
