/// What one connection may have its delegates do in a tick; the rest is told in the next one, which
/// follows at once, after what has arrived for others meanwhile.
///
/// Like `WorkBudget` in units of about a quarter of a microsecond and not a clock. It is what hundreds
/// of streams that all have something to pass on would take from everybody else's round trip. A datagram
/// by itself is free: it costs less than to read it did, and to read more than is told would lose some.
struct DeliveryBudget {
  private var left = Self.perTick

  /// Whether there is something to tell for.
  var isSpent: Bool { left <= 0 }

  /// The next tick.
  mutating func begin() { left = Self.perTick }

  /// Bytes or news of a stream were told: a system call or two of whoever passes them on.
  mutating func chargeStream() { left -= Self.stream }

  /// A delegate had more to do than to pass something on.
  mutating func charge(_ time: Duration) { left -= Int(time / .nanoseconds(250)) }

  /// A millisecond.
  static let perTick = 4_000
  /// 12 us.
  private static let stream = 48
}
