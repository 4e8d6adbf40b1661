internal import QuicTransport

/// What one session may have of targets that it names for UDP: how many at once, how many new ones a
/// second, and how many names that are being looked up. Shared by its flows.
final class TargetAllowance {
  private var rate: TokenBucket
  private var held = 0
  private var lookups = 0

  init(now: Instant) {
    rate = TokenBucket(rate: Self.rate, burst: Self.burst, now: now)
  }

  /// Makes room for another target; false when there is none, or none so soon.
  func take(isName: Bool, now: Instant) -> Bool {
    guard held < Self.targetsMax, !isName || lookups < Self.lookupsMax, rate.take(now: now) else {
      return false
    }
    held += 1
    if isName { lookups += 1 }
    return true
  }

  /// A name was found, or not.
  func endLookup() {
    lookups -= 1
  }

  /// So many targets were forgotten.
  func release(_ count: Int) {
    held -= count
  }

  /// Of all flows of a session; about a megabyte.
  static let targetsMax = 8_192
  /// Judging an address asks the kernel for our own ones, which costs tens of microseconds.
  private static let rate = 512.0
  private static let burst = 1_024.0
  /// Sixteen are looked up at a time, for all sessions; each may hold up a datagram or a few.
  private static let lookupsMax = 32
}
