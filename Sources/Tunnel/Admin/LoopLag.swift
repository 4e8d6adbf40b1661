internal import QuicTransport

/// How late an event loop is: the longest time by which a timer of each second fired too late, over the
/// last minute. What takes the loop's time shows here, whatever it is.
final class LoopLag {
  private let loop: any EventLoop
  private var timer: LoopTimer?
  private var expected: Instant
  private var samples = [Duration](repeating: .zero, count: 60)
  private var next = 0

  init(loop: any EventLoop) {
    self.loop = loop
    expected = loop.now + Self.interval
    let timer = LoopTimer { [weak self] now in self?.sample(now) }
    self.timer = timer
    loop.schedule(timer, at: expected)
  }

  /// The longest of the last minute.
  var longest: Duration { samples.max() ?? .zero }

  func stop() {
    if let timer { loop.cancel(timer) }
    timer = nil
  }

  private func sample(_ now: Instant) {
    samples[next] = max(.zero, now - expected)
    next = (next + 1) % samples.count
    expected = now + Self.interval
    if let timer { loop.schedule(timer, at: expected) }
  }

  private static let interval = Duration.seconds(1)
}
