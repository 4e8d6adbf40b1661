/// How much a peer may send ahead of the consumer, tuned to the consumer's own rate.
///
/// The window is doubled when twice what was consumed in one round trip would not fit it: a window
/// below two bandwidth-delay products holds the sender back. The round trip is the path's minimum:
/// the smoothed one includes the queue that a larger window would only lengthen. The window never
/// grows for a slow consumer, because growth follows consumption, not arrival.
struct ReceiveWindow {
  private(set) var size: Int
  let max: Int
  private var epochStart: Instant
  private var epochConsumed = 0

  init(size: Int, max: Int, now: Instant) {
    self.size = size
    self.max = max
    epochStart = now
  }

  /// Notes that `amount` bytes were consumed; returns by how much the window grew.
  mutating func consume(_ amount: Int, roundTrip: Duration, now: Instant) -> Int {
    epochConsumed += amount
    let elapsed = (now - epochStart).wholeNanoseconds
    let roundTrip = Swift.max(roundTrip.wholeNanoseconds, Self.epochMin)
    guard elapsed >= roundTrip else { return 0 }
    // Consumption per round trip, were it as steady as in this epoch.
    let perRoundTrip = Double(epochConsumed) * Double(roundTrip) / Double(elapsed)
    epochStart = now
    epochConsumed = 0
    guard perRoundTrip * 2 > Double(size), size < max else { return 0 }
    let growth = Swift.min(size, max - size)
    size += growth
    return growth
  }

  /// Round trips on one machine take microseconds, but processes sleep for milliseconds: a window
  /// for less than this would be tuned to the scheduler's luck.
  private static let epochMin: UInt64 = 2_000_000
}
