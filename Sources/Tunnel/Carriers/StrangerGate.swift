internal import QuicTransport

/// Decides which strangers may hold a carrier: so many in all, so many from one source, and so
/// often from one source, since a TLS handshake costs the accepting side more than the other.
struct StrangerGate {
  private var tally = SourceTally()
  private var buckets: [SocketAddress: TokenBucket] = [:]
  private var lastSweep: Instant?

  /// Lets a stranger in, or not; call `leave` for everyone who was.
  mutating func enter(_ remote: SocketAddress, now: Instant) -> Bool {
    guard tally.total < Self.strangersMax, tally.count(of: remote) < Self.perSourceMax,
      takeToken(of: remote.source, now: now)
    else { return false }
    tally.add(remote)
    return true
  }

  /// A stranger left, or is none any more.
  mutating func leave(_ remote: SocketAddress) {
    tally.remove(remote)
  }

  private mutating func takeToken(of source: SocketAddress, now: Instant) -> Bool {
    if buckets[source] == nil {
      if buckets.count >= Self.sourcesMax { sweep(now: now) }
      guard buckets.count < Self.sourcesMax else { return false }
    }
    return buckets[
      source, default: TokenBucket(rate: Self.rate, burst: Self.burst, now: now)
    ].take(now: now)
  }

  /// Forgets who could do again all that a new source can, at most once a second.
  private mutating func sweep(now: Instant) {
    if let lastSweep, now - lastSweep < .seconds(1) { return }
    lastSweep = now
    buckets = buckets.filter { !$0.value.isFull(now: now) }
  }

  static let strangersMax = 256
  /// A household or an office behind one address, connecting at the same moment.
  static let perSourceMax = 32
  /// Handshakes per second of one source, after a burst; one takes about a millisecond.
  private static let rate = 20.0
  static let burst = 64.0
  /// A bucket is full again after three seconds, so only a flood from thousands of networks fills
  /// this.
  private static let sourcesMax = 4_096
}
