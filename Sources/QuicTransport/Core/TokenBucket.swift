/// A rate limit: `rate` per second, with bursts of `burst`.
public struct TokenBucket: Sendable {
  private let rate: Double
  private let burst: Double
  private var tokens: Double
  private var last: Instant

  /// A full bucket.
  public init(rate: Double, burst: Double, now: Instant) {
    self.rate = rate
    self.burst = burst
    tokens = burst
    last = now
  }

  /// Takes one token; false when there is none.
  public mutating func take(now: Instant) -> Bool {
    tokens = min(burst, tokens + (now - last).seconds * rate)
    last = max(last, now)
    guard tokens >= 1 else { return false }
    tokens -= 1
    return true
  }

  /// Whether nothing would change if it were forgotten and made anew.
  public func isFull(now: Instant) -> Bool {
    tokens + (now - last).seconds * rate >= burst
  }
}
