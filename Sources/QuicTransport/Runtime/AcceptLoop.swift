internal import Glibc

/// Accepts the connections of a listening socket, whatever its family, and hands each on.
///
/// When the process has no descriptors left it pauses instead of spinning, and resumes by itself.
final class AcceptLoop: ReadinessHandler {
  /// Accepts one connection of a listening descriptor and hands it on; 0 or -errno.
  typealias AcceptOne = (Int32) -> Int32

  private let loop: EpollLoop
  /// Nil once closed: a listener that stays open lets programs connect and wait for ever.
  private var descriptor: FileDescriptor?
  private let acceptOne: AcceptOne
  private var registration: Registration.Token?
  private var retry: LoopTimer?

  /// Begins to accept. Call on the loop, which keeps this object until `close`.
  init(
    loop: EpollLoop, owning raw: Int32, acceptOne: @escaping AcceptOne
  ) throws(RuntimeError) {
    self.loop = loop
    self.acceptOne = acceptOne
    let descriptor = FileDescriptor(owning: raw)
    registration = try loop.register(descriptor, edgeTriggered: true, handler: self)
    self.descriptor = consume descriptor
  }

  /// Accepts what waits. Called by the loop.
  func ready(_ readiness: Readiness, now: Instant) {
    for _ in 0..<Self.acceptsPerTick {
      guard let raw = descriptor?.raw else { return }
      let result = acceptOne(raw)
      if -result == EAGAIN { return }
      if Self.isExhaustion(-result) {
        resume(after: Self.exhaustionPause)
        return
      }
      // Any other error belongs to a connection that died in the queue: take the next.
    }
    // Edge-triggered: what is left is not reported again.
    resume(after: .zero)
  }

  /// Stops accepting and closes the descriptor.
  func close() {
    if let retry { loop.cancel(retry) }
    retry = nil
    if let registration { loop.unregister(registration) }
    registration = nil
    descriptor = nil
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

  /// What `listen` asks of the kernel.
  static let backlog: Int32 = 4096
  /// Other work of the loop gets its turn between bursts of new connections.
  private static let acceptsPerTick = 64
  /// Long enough not to burn the processor, short enough that nobody notices.
  private static let exhaustionPause = Duration.milliseconds(50)
}
