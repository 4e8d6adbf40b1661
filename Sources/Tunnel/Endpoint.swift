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
      var settings = settings.endpointSettings(
        identity: identity, acceptsConnections: acceptsConnections)
      settings.resetKey = resetKey(of: identity, at: socket.localAddress)
      let endpoint = try EndpointCore(loop: loop, settings: settings)
      endpoint.add(socket)
      return (endpoint, socket)
    } catch {
      socket.close()
      throw TunnelError(error)
    }
  }

  /// The same after a restart, another at every address: of two processes with one identity, one
  /// must not give away the reset tokens of the other (RFC 9000 §21.11).
  static func resetKey(of identity: Identity, at address: SocketAddress) -> SecretBytes {
    identity.deriveSecret("qtun stateless reset", context: address.description)
  }
}
