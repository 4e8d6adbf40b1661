internal import CNgtcp2

/// A listening TCP socket that hands accepted connections to a closure.
public final class TCPListener {
  /// The bound address, with its real port.
  public let localAddress: SocketAddress

  private var acceptLoop: AcceptLoop?

  /// Binds and listens. Call on the loop; connections are accepted until `close`.
  ///
  /// - Parameters:
  ///   - address: port 0 picks a free one.
  ///   - accepted: called on the loop with each connection and its remote address.
  /// - Throws: `RuntimeError.system` with EADDRINUSE, EACCES and the like.
  public init(
    loop: EpollLoop, binding address: SocketAddress,
    accepted: @escaping (TCPSocket, SocketAddress) -> Void
  ) throws(RuntimeError) {
    var raw = address.raw
    var bound = qtun_address()
    let result = qtun_tcp_listen(&raw, AcceptLoop.backlog, &bound)
    if result < 0 { throw .system("listen", -result) }
    localAddress = SocketAddress(bound)
    acceptLoop = try AcceptLoop(loop: loop, owning: result) { listener in
      var remote = qtun_address()
      let result = qtun_tcp_accept(listener, &remote)
      guard result >= 0 else { return result }
      // Registration fails only when the kernel is out of memory: the connection is dropped.
      guard let socket = try? TCPSocket(loop: loop, accepted: result) else { return 0 }
      accepted(socket, SocketAddress(remote))
      return 0
    }
  }

  /// Stops listening and releases the port; connections that wait to be accepted are reset.
  public func close() {
    acceptLoop?.close()
    acceptLoop = nil
  }
}
