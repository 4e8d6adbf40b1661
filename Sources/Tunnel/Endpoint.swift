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

  /// The accepting side of carriers over TCP.
  static func carriers(
    endpoint: EndpointCore, registry: PathRegistry, loop: EpollLoop
  ) throws(TunnelError) -> CarrierListener {
    do throws(QuicError) {
      return try CarrierListener(
        endpoint: endpoint, registry: registry, serverName: "localhost", loop: loop)
    } catch {
      throw TunnelError(error)
    }
  }

  /// The dialling side of carriers over TCP.
  static func dialer(
    endpoint: EndpointCore, registry: PathRegistry, loop: EpollLoop, proxy: HTTPProxy?
  ) throws(TunnelError) -> CarrierDialer {
    do throws(QuicError) {
      return try CarrierDialer(endpoint: endpoint, registry: registry, loop: loop, proxy: proxy) {
        address throws(RuntimeError) in
        try TCPSocket.connect(loop: loop, to: address)
      }
    } catch {
      throw TunnelError(error)
    }
  }

  /// How often another port is tried where any will do: one that is free for UDP may be taken for TCP.
  static let portAttempts = 16

  /// Listens on the TCP port of the same number as the UDP socket's.
  static func listen(
    _ socket: UDPSocket, loop: EpollLoop, carriers: CarrierListener
  ) throws(TunnelError) -> TCPListener {
    do throws(RuntimeError) {
      return try TCPListener(loop: loop, binding: socket.localAddress) {
        [weak carriers] accepted, remote in
        guard let carriers else { return accepted.close(resetting: true) }
        carriers.accept(
          accepted, from: remote, at: accepted.localAddress ?? socket.localAddress)
      }
    } catch {
      let address = socket.localAddress
      socket.close()
      throw .cannotBind(address, error)
    }
  }

  /// The same after a restart, another at every address: of two processes with one identity, one
  /// must not give away the reset tokens of the other (RFC 9000 §21.11).
  static func resetKey(of identity: Identity, at address: SocketAddress) -> SecretBytes {
    identity.deriveSecret("qtun stateless reset", context: address.description)
  }
}
