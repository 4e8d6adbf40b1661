internal import QuicTransport

/// How a relay opens its public ports: with the system's sockets, or with those of a test.
struct PublicSockets {
  /// Begins to listen. The closure is told of each connection, where it comes from and where it went.
  typealias Listen = (
    SocketAddress, @escaping (any StreamSocket, SocketAddress, SocketAddress) -> Void
  ) throws(RuntimeError) -> ServedListeners.OpenListener

  /// Every port of its range is bound at the host of this address.
  let host: SocketAddress
  let listen: Listen
  let bindDatagrams: (SocketAddress) throws(RuntimeError) -> any DatagramSocket
  /// The same for visitors who speak QUIC with the relay itself.
  let bindQuic: (SocketAddress) throws(RuntimeError) -> any DatagramSocket
}

extension PublicSockets {
  /// With sockets of the system.
  init(host: SocketAddress, loop: EpollLoop) {
    self.init(
      host: host,
      listen: { address, accepted throws(RuntimeError) in
        let listener = try TCPListener(loop: loop, binding: address) { socket, remote in
          accepted(socket, remote, socket.localAddress ?? address)
        }
        return ServedListeners.OpenListener(address: listener.localAddress, close: listener.close)
      },
      bindDatagrams: { address throws(RuntimeError) in
        try UDPSocket(
          loop: loop, opening: .programs(address), bufferBytes: SessionSettings.socketBufferBytes)
      },
      bindQuic: { address throws(RuntimeError) in
        try UDPSocket(
          loop: loop, binding: address, bufferBytes: SessionSettings.socketBufferBytes)
      })
  }
}
