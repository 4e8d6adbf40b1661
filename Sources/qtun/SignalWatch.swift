internal import Glibc
internal import QuicTransport

/// Hands signals from their pipe to a closure, on the loop.
final class SignalWatch: ReadinessHandler {
  private let descriptor: FileDescriptor
  private let signals: SignalPipe
  private let received: (StopSignal) -> Void

  /// Begins to watch; the loop keeps the watch for as long as the process lives.
  static func start(
    _ signals: SignalPipe, on loop: EpollLoop, received: @escaping (StopSignal) -> Void
  ) throws(RuntimeError) {
    let descriptor = try FileDescriptor(
      checking: fcntl(signals.descriptor, F_DUPFD_CLOEXEC, 0), "fcntl")
    let watch = SignalWatch(descriptor: descriptor, signals: signals, received: received)
    _ = try loop.register(watch.descriptor, edgeTriggered: false, handler: watch)
  }

  private init(
    descriptor: consuming FileDescriptor, signals: SignalPipe,
    received: @escaping (StopSignal) -> Void
  ) {
    self.descriptor = descriptor
    self.signals = signals
    self.received = received
  }

  /// Passes signals on. Called by the loop.
  func ready(_ readiness: Readiness, now: Instant) {
    while let signal = signals.take() { received(signal) }
  }
}
