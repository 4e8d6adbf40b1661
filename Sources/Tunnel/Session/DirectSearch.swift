internal import QuicTransport

/// When a session on a relay looks for a direct path over TCP: at once, after 30 s, and then half as
/// often each time, down to once in ten minutes. What was refused a moment ago is refused again, and
/// an attempt costs the sharing side a connection.
struct DirectSearch {
  private var last: Instant?
  private var next: Instant?
  private var interval = intervalMin

  /// Whether it is time; if so, the next time is later.
  mutating func isDue(now: Instant) -> Bool {
    if let next, now < next { return false }
    last = now
    next = now + interval
    interval = min(interval * 2, Self.intervalMax)
    return true
  }

  /// The network is another one, or a direct path was lost: at once again, but for a machine whose
  /// addresses change all the time.
  mutating func reset() {
    next = last.map { $0 + Self.intervalLeast }
    interval = Self.intervalMin
  }

  private static let intervalLeast = Duration.seconds(3)
  private static let intervalMin = Duration.seconds(30)
  private static let intervalMax = Duration.seconds(600)
}
