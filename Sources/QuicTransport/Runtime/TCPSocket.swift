internal import CNgtcp2

/// A TCP connection on an `EpollLoop`, with TCP_NODELAY.
public final class TCPSocket: DescriptorSocket {
  /// Takes over an accepted, non-blocking connection. The loop keeps it alive until `close`.
  convenience init(loop: EpollLoop, accepted raw: Int32) throws(RuntimeError) {
    try self.init(loop: loop, owning: raw, isConnecting: false)
  }

  /// Our end's address; nil once the kernel has forgotten it.
  public var localAddress: SocketAddress? {
    var local = qtun_address()
    guard qtun_socket_local_address(descriptor.raw, &local) == 0 else { return nil }
    return SocketAddress(local)
  }

  /// Begins to connect; the handler hears `streamSocketConnected` or `streamSocketFailed`.
  public static func connect(loop: EpollLoop, to remote: SocketAddress) throws(RuntimeError)
    -> TCPSocket
  {
    var raw = remote.raw
    let result = qtun_tcp_connect(&raw)
    if result < 0 { throw .system("connect", -result) }
    return try TCPSocket(loop: loop, owning: result, isConnecting: true)
  }
}
