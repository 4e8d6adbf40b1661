internal import QuicTransport

/// A rate in bytes per second with bursts, as whole nanoseconds: the time at which everything taken
/// so far would have been sent at the rate (GCRA, ITU-T I.371).
struct ByteBudget {
  private var nanosecondsPerKilobyte: UInt64
  private let burstBytes: Int
  private var burst: UInt64
  private var paidUntil: UInt64
  /// As it was given.
  private(set) var bytesPerSecond: Int

  /// - Parameter burst: bytes that may be taken at once; at least one datagram.
  init(bytesPerSecond: Int, burst: Int, now: Instant) {
    precondition(bytesPerSecond > 0 && burst > 0)
    self.bytesPerSecond = bytesPerSecond
    nanosecondsPerKilobyte = max(1, 1_024_000_000_000 / UInt64(bytesPerSecond))
    burstBytes = burst
    self.burst = UInt64(burst) * nanosecondsPerKilobyte / 1_024
    paidUntil = now.nanoseconds
  }

  /// Takes `count` bytes; false, and takes nothing, when there are not as many.
  mutating func take(_ count: Int, now: Instant) -> Bool {
    let begin = max(paidUntil, now.nanoseconds)
    let end = begin + UInt64(count) * nanosecondsPerKilobyte / 1_024
    guard end - now.nanoseconds <= burst else { return false }
    paidUntil = end
    return true
  }

  /// Goes on at another rate: what was taken stays taken, and the burst is as large in bytes.
  mutating func change(to bytesPerSecond: Int, now: Instant) {
    let price = max(1, 1_024_000_000_000 / UInt64(bytesPerSecond))
    let owed = paidUntil - min(paidUntil, now.nanoseconds)
    let factor = Double(price) / Double(nanosecondsPerKilobyte)
    paidUntil = now.nanoseconds + UInt64(Double(owed) * factor)
    burst = UInt64(burstBytes) * price / 1_024
    nanosecondsPerKilobyte = price
    self.bytesPerSecond = bytesPerSecond
  }

  /// Gives back what was taken just now.
  mutating func restore(_ count: Int) {
    paidUntil -= UInt64(count) * nanosecondsPerKilobyte / 1_024
  }

  /// When `count` bytes can be taken.
  func time(of count: Int, now: Instant) -> Instant {
    let end = max(paidUntil, now.nanoseconds) + UInt64(count) * nanosecondsPerKilobyte / 1_024
    return end - now.nanoseconds <= burst ? now : Instant(nanoseconds: end - burst)
  }
}
