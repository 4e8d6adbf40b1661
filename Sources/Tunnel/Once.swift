internal import QuicTransport

/// Resumes a continuation once: by whoever comes first, the work or its deadline. On one loop.
final class Once {
  private var continuation: CheckedContinuation<Void, Never>?
  private let loop: any EventLoop
  private var timer: LoopTimer?

  init(
    _ continuation: CheckedContinuation<Void, Never>, loop: any EventLoop, deadline: Instant
  ) {
    self.continuation = continuation
    self.loop = loop
    // The timer holds this object until it fires or is cancelled.
    let timer = LoopTimer { _ in self.resume() }
    self.timer = timer
    loop.schedule(timer, at: deadline)
  }

  func resume() {
    if let timer { loop.cancel(timer) }
    timer = nil
    continuation?.resume()
    continuation = nil
  }
}
