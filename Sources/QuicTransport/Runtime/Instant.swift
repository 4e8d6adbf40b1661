/// A point on an event loop's monotonic clock, in nanoseconds since an arbitrary start.
///
/// Cores take it as `now`; they never read a clock (conventions, rule 9).
public struct Instant: Comparable, Hashable, Sendable {
  /// Nanoseconds since the clock's start.
  public var nanoseconds: UInt64

  /// Later than every point that occurs; "no deadline".
  public static let distantFuture = Instant(nanoseconds: .max)

  /// A point from its nanoseconds.
  public init(nanoseconds: UInt64) {
    self.nanoseconds = nanoseconds
  }

  /// Earlier points come first.
  public static func < (left: Instant, right: Instant) -> Bool {
    left.nanoseconds < right.nanoseconds
  }

  /// The point `duration` later, saturating; a negative duration counts as zero.
  public static func + (instant: Instant, duration: Duration) -> Instant {
    let (sum, overflow) = instant.nanoseconds.addingReportingOverflow(duration.wholeNanoseconds)
    return Instant(nanoseconds: overflow ? .max : sum)
  }

  /// The time from `earlier` to `later`, zero if they are the other way round.
  public static func - (later: Instant, earlier: Instant) -> Duration {
    guard later > earlier else { return .zero }
    let difference = later.nanoseconds - earlier.nanoseconds
    return .nanoseconds(Int64(clamping: difference))
  }
}

extension Duration {
  /// The length in whole nanoseconds, clamped to what 64 bits hold; zero for negative lengths.
  public var wholeNanoseconds: UInt64 {
    let (seconds, attoseconds) = components
    guard seconds >= 0, attoseconds >= 0 else { return 0 }
    let (product, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
    if overflow { return .max }
    let (sum, carry) = product.addingReportingOverflow(UInt64(attoseconds / 1_000_000_000))
    return carry ? .max : sum
  }

  /// The length in seconds, for rates and for people.
  public var seconds: Double {
    Double(components.seconds) + Double(components.attoseconds) * 1e-18
  }
}
