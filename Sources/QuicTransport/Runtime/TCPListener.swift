internal import CNgtcp2
internal import Glibc

/// A listening TCP socket that hands accepted connections to a closure.
///
/// When the process has no descriptors left it pauses instead of spinning, and resumes by itself.
public final class TCPListener: ReadinessHandler {
  /// The bound address, with its real port.
  public let localAddress: SocketAddress

  private let loop: EpollLoop
  /// Nil once closed: a listener that stays open lets programs connect and wait for ever.
  private var descriptor: FileDescriptor?
  private let accepted: (TCPSocket, SocketAddress) -> Void
  private var registration: Registration.Token?
  private var retry: LoopTimer?

  /// Binds and listens. Call on the loop; the loop keeps the listener until `close`.
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
    let result = qtun_tcp_listen(&raw, Self.backlog, &bound)
    if result < 0 { throw .system("listen", -result) }
    self.loop = loop
    self.accepted = accepted
    let descriptor = FileDescriptor(owning: result)
    localAddress = SocketAddress(bound)
    registration = try loop.register(descriptor, edgeTriggered: true, handler: self)
    self.descriptor = consume descriptor
  }

  /// Accepts what waits. Called by the loop.
  public func ready(_ readiness: Readiness, now: Instant) {
    for _ in 0..<Self.acceptsPerTick {
      guard let raw = descriptor?.raw else { return }
      var remote = qtun_address()
      let result = qtun_tcp_accept(raw, &remote)
      if result >= 0 {
        take(result, SocketAddress(remote))
      } else if -result == EAGAIN {
        return
      } else if Self.isExhaustion(-result) {
        resume(after: Self.exhaustionPause)
        return
      }
      // Any other error belongs to a connection that died in the queue: take the next.
    }
    // Edge-triggered: what is left is not reported again.
    resume(after: .zero)
  }

  /// Stops listening and releases the port; connections that wait to be accepted are reset.
  public func close() {
    if let retry { loop.cancel(retry) }
    retry = nil
    if let registration { loop.unregister(registration) }
    registration = nil
    descriptor = nil
  }

  private func take(_ raw: Int32, _ remote: SocketAddress) {
    // Registration fails only when the kernel is out of memory: the connection is dropped.
    guard let socket = try? TCPSocket(loop: loop, accepted: raw) else { return }
    accepted(socket, remote)
  }

  private func resume(after pause: Duration) {
    guard registration != nil else { return }
    let timer =
      retry
      ?? LoopTimer { [weak self] now in
        self?.ready(.readable, now: now)
      }
    retry = timer
    loop.schedule(timer, at: loop.now + pause)
  }

  private static func isExhaustion(_ code: Int32) -> Bool {
    code == EMFILE || code == ENFILE || code == ENOBUFS || code == ENOMEM
  }

  private static let backlog: Int32 = 4096
  /// Other work of the loop gets its turn between bursts of new connections.
  private static let acceptsPerTick = 64
  /// Long enough not to burn the processor, short enough that nobody notices.
  private static let exhaustionPause = Duration.milliseconds(50)
}
