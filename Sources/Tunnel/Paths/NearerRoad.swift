internal import QuicTransport

/// The round trips of the last probes of a path. The shortest of them is what the road costs; the others
/// have stood in a queue as well.
struct RecentRoundTrips {
  private var samples: (Duration?, Duration?, Duration?, Duration?, Duration?)
  /// How many there are, of five.
  private(set) var count = 0

  /// The shortest; nil before the first.
  var least: Duration? {
    guard let first = samples.0 else { return nil }
    return min(
      first, samples.1 ?? first, samples.2 ?? first, samples.3 ?? first, samples.4 ?? first)
  }

  mutating func add(_ sample: Duration) {
    samples = (sample, samples.0, samples.1, samples.2, samples.3)
    count = min(count + 1, 5)
  }
}

/// Whether a session should leave a relay for another one that is nearer, sans-I/O.
///
///     staying --the other is clearly shorter--> watching --and stays so for 10 s--> moving, resting
///        ^'---------- it is not any more ----------'                                    |
///        '------------------- a minute, and twice as long each time --------------------'
///
/// What is compared is the whole way to the peer and back, as probes through each relay find it: the sum
/// of both legs, and the time that the relay takes. A switch costs a round trip and begins a congestion
/// window anew, so a few milliseconds are not worth one, and two roads of the same length are not to take
/// turns.
struct NearerRoad {
  /// The number of the path that is shorter, since when, and how often it was.
  private var watched: (path: UInt64, since: Instant, count: Int)?
  private var restsUntil: Instant?
  private var rest = NearerRoad.restMin
  private var lastMove: Instant?

  /// Takes a new measurement of another road; whether to move there.
  ///
  /// - Parameters:
  ///   - path: its number.
  ///   - length: the shortest round trip that was found on it lately.
  ///   - current: the same of the road in use.
  mutating func note(
    _ path: UInt64, length: Duration, current: Duration, now: Instant
  ) -> Bool {
    guard length + Self.margin(current) < current else {
      if watched?.path == path { watched = nil }
      return false
    }
    guard let watched, watched.path == path else {
      // Of two that are shorter, the one that was so first; the other's turn comes after the move.
      if watched == nil { watched = (path, now, 1) }
      return false
    }
    self.watched?.count += 1
    guard watched.count + 1 >= Self.countMin, now - watched.since >= Self.patience,
      (restsUntil ?? now) <= now
    else { return false }
    self.watched = nil
    if let lastMove, now - lastMove >= Self.forgetting { rest = Self.restMin }
    (lastMove, restsUntil) = (now, now + rest)
    rest = min(rest * 2, Self.restMax)
    return true
  }

  /// The session moved for another reason: what was found does not hold of another pair of roads.
  mutating func forget() { watched = nil }

  /// Shorter by less than this is as good as the same.
  static func margin(_ length: Duration) -> Duration { max(marginMin, length / 5) }

  private static let marginMin = Duration.milliseconds(10)
  /// Measurements in a row, and the time that they have to span.
  private static let countMin = 3
  private static let patience = Duration.seconds(10)
  private static let restMin = Duration.seconds(60)
  private static let restMax = Duration.seconds(900)
  private static let forgetting = Duration.seconds(3_600)
}
