/// What one connection may have its delegates do in a tick; the rest is told in the next one, which
/// follows at once, after what has arrived for others meanwhile.
///
/// Like `WorkBudget` in units of about a quarter of a microsecond and not a clock. It is what hundreds
/// of streams that all have something to pass on would take from everybody else's round trip.
struct DeliveryBudget {
  private var left = Self.perTick

  /// Whether there is something to tell for.
  var isSpent: Bool { left <= 0 }

  /// The next tick.
  mutating func begin() { left = Self.perTick }

  /// Bytes or news of a stream were told: a system call or two of whoever passes them on.
  mutating func chargeStream() { left -= Self.stream }

  /// A datagram was told.
  mutating func chargeDatagram() { left -= Self.datagram }

  /// The delegate had more to do for it than that.
  mutating func charge(_ time: Duration) { left -= Int(time / .nanoseconds(250)) }

  /// A millisecond.
  static let perTick = 4_000
  /// 12 us.
  private static let stream = 48
  /// 3 us.
  private static let datagram = 12
}
