internal import CNgtcp2

/// A listening Unix socket that only its owner may connect to (mode 0600); the file is removed at
/// the end.
public final class UnixListener {
  /// The socket file.
  public let path: String

  private let created: qtun_file_id
  private var acceptLoop: AcceptLoop?

  /// Creates the file and listens. Call on the loop; connections are accepted until `close`.
  ///
  /// - Parameter accepted: called on the loop with each connection.
  /// - Throws: `RuntimeError.system` with EADDRINUSE when something answers at `path`, EEXIST when
  ///   it is another kind of file, ENAMETOOLONG from 108 bytes on, and the like. A socket file
  ///   that a dead process left behind is replaced.
  public init(
    loop: EpollLoop, path: String, accepted: @escaping (UnixSocket) -> Void
  ) throws(RuntimeError) {
    var created = qtun_file_id()
    let result = qtun_unix_listen(path, AcceptLoop.backlog, &created)
    if result < 0 { throw .system("listen", -result) }
    self.path = path
    self.created = created
    do throws(RuntimeError) {
      acceptLoop = try AcceptLoop(loop: loop, owning: result) { listener in
        let result = qtun_unix_accept(listener)
        guard result >= 0 else { return result }
        // Registration fails only when the kernel is out of memory: the connection is dropped.
        guard let socket = try? UnixSocket(loop: loop, accepted: result) else { return 0 }
        accepted(socket)
        return 0
      }
    } catch {
      qtun_unix_remove(path, &created)
      throw error
    }
  }

  /// Stops listening and removes the file, unless another one took its place; safe to call again.
  public func close() {
    guard let acceptLoop else { return }
    acceptLoop.close()
    self.acceptLoop = nil
    var created = created
    qtun_unix_remove(path, &created)
  }
}
