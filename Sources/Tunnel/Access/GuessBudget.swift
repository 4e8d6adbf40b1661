internal import QuicTransport

/// How many wrong tokens of each source a relay looks at: a burst, then a few a second.
///
/// A guesser need not wait for a refusal that comes late, since the right token would be answered at
/// once; so what counts is how many are looked at. As long as a source has not used up its burst,
/// nothing waits. From then on all of its tokens take turns, also good ones: before it has looked, a
/// relay cannot tell them apart.
struct GuessBudget {
  private var sources: [SocketAddress: TokenBucket] = [:]

  /// How long a token from there has to wait until it is looked at; nil if too many wait already.
  mutating func turn(of address: SocketAddress, now: Instant) -> Duration? {
    let source = address.source
    guard var bucket = sources[source] else { return .zero }
    if bucket.has(now: now) { return .zero }
    guard let wait = bucket.reserve(within: Self.waitMax, now: now) else { return nil }
    sources[source] = bucket
    return wait
  }

  /// A token was wrong that did not wait; one that did has paid for its turn.
  mutating func noteFailure(from address: SocketAddress, now: Instant) {
    let source = address.source
    if sources[source] == nil { makeRoom(now: now) }
    _ = sources[source, default: TokenBucket(rate: Self.rate, burst: Self.burst, now: now)]
      .take(now: now)
  }

  /// How many sources are remembered.
  var count: Int { sources.count }

  /// Each entry has cost somebody a handshake from his own address. When thousands guess, all begin
  /// anew.
  private mutating func makeRoom(now: Instant) {
    guard sources.count >= Self.sourcesMax else { return }
    sources = sources.filter { !$0.value.isFull(now: now) }
    if sources.count >= Self.sourcesMax { sources.removeAll() }
  }

  private static let rate = 5.0
  /// An office whose tokens were all revoked comes back at once.
  static let burst = 20.0
  /// Twenty of one source wait at most. A node that nobody looks at for longer is sent away as idle.
  static let waitMax = Duration.seconds(4)
  /// A source is full again four seconds after its last failure.
  static let sourcesMax = 4_096
}
