internal import CNgtcp2

/// A connection through a Unix domain socket (unix(7)) on an `EpollLoop`.
public final class UnixSocket: DescriptorSocket {
  /// Takes over an accepted, non-blocking connection. The loop keeps it alive until `close`.
  convenience init(loop: EpollLoop, accepted raw: Int32) throws(RuntimeError) {
    try self.init(loop: loop, owning: raw, isConnecting: false)
  }

  /// The user whose process is at the other end, as the kernel knows it (unix(7), SO_PEERCRED); nil
  /// when it does not.
  public var peerUser: UInt32? {
    var user: uid_t = 0
    return qtun_unix_peer(descriptor.raw, &user) == 0 ? user : nil
  }

  /// Connects to the socket file `path`; the handler hears `streamSocketConnected`.
  ///
  /// - Throws: `RuntimeError.system` with ENOENT, ECONNREFUSED, EACCES and the like, and EAGAIN
  ///   when the listener's backlog is full.
  public static func connect(loop: EpollLoop, to path: String) throws(RuntimeError) -> UnixSocket {
    let result = qtun_unix_connect(path)
    if result < 0 { throw .system("connect", -result) }
    return try UnixSocket(loop: loop, owning: result, isConnecting: true)
  }
}
