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

  /// Takes one token if `reserve` and one more are there.
  mutating func take(leaving reserve: Double, now: Instant) -> Bool {
    guard tokens + (now - last).seconds * rate >= reserve + 1 else { return false }
    return take(now: now)
  }

  /// Whether there is a token to take.
  public func has(now: Instant) -> Bool {
    min(burst, tokens + (now - last).seconds * rate) >= 1
  }

  /// Takes one token now or of those to come: how long it takes until it is there. Nil, and nothing is
  /// taken, if that is longer than `patience`.
  public mutating func reserve(within patience: Duration, now: Instant) -> Duration? {
    let rest = min(burst, tokens + max(0, (now - last).seconds) * rate) - 1
    let wait = rest < 0 ? Duration.nanoseconds(Int64(-rest / rate * 1e9)) : .zero
    guard wait <= patience else { return nil }
    tokens = rest
    last = max(last, now)
    return wait
  }

  /// Whether nothing would change if it were forgotten and made anew.
  public func isFull(now: Instant) -> Bool {
    tokens + (now - last).seconds * rate >= burst
  }
}
