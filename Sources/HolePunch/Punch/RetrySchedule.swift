/// How long to wait between rounds that fail: it never gives up, and never becomes a nuisance.
struct RetrySchedule {
  private var failures = 0

  /// The next wait.
  mutating func next() -> Duration {
    defer { failures += 1 }
    return .seconds(Self.seconds[min(failures, Self.seconds.count - 1)])
  }

  /// Something changed, so the next round may well succeed.
  mutating func reset() { failures = 0 }

  private static let seconds = [5, 10, 20, 40, 60]
}
