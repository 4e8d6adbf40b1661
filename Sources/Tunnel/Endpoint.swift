internal import QuicTransport

/// Opens the one UDP socket of a share or link, with a QUIC endpoint on it. Called on the loop.
enum Endpoint {
  static func open(
    loop: EpollLoop, identity: Identity, settings: SessionSettings, binding: SocketAddress,
    acceptsConnections: Bool
  ) throws(TunnelError) -> (EndpointCore, UDPSocket) {
    let socket: UDPSocket
    do throws(RuntimeError) {
      socket = try UDPSocket(
        loop: loop, binding: binding, bufferBytes: SessionSettings.socketBufferBytes)
    } catch {
      throw .cannotBind(binding, error)
    }
    do throws(QuicError) {
      let endpoint = try EndpointCore(
        loop: loop,
        settings: settings.endpointSettings(
          identity: identity, acceptsConnections: acceptsConnections))
      endpoint.add(socket)
      return (endpoint, socket)
    } catch {
      socket.close()
      throw TunnelError(error)
    }
  }
}
