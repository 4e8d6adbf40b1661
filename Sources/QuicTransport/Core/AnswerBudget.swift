/// How many answers that keep no state an endpoint gives: to one source, so that nobody has it aimed at
/// somebody else, and in all.
///
/// While forged packets ask for more than there are, half of a burst is kept for urgent answers, and
/// what is taken of it is made good before others have another one: so the urgent ones come first.
struct AnswerBudget {
  private var all: TokenBucket
  private var sources: [SocketAddress: TokenBucket] = [:]

  init(now: Instant) {
    all = TokenBucket(rate: Self.rate, burst: Self.burst, now: now)
  }

  /// Takes one answer to this address, if there is one.
  mutating func take(for remote: SocketAddress, isUrgent: Bool, now: Instant) -> Bool {
    let source = remote.source
    var own =
      sources[source]
      ?? TokenBucket(rate: Self.rateOfSource, burst: Self.burstOfSource, now: now)
    // A source is remembered only if it was answered.
    guard own.take(now: now), all.take(leaving: isUrgent ? 0 : Self.reserve, now: now) else {
      return false
    }
    if sources[source] == nil, sources.count >= Self.sourcesMax {
      sources = sources.filter { !$0.value.isFull(now: now) }
    }
    sources[source] = own
    return true
  }

  /// How many sources are remembered.
  var sourceCount: Int { sources.count }

  /// What a second brings and what was left over are 1000 together, and 100 for one source, in
  /// whichever second one looks.
  private static let rate = 800.0
  static let burst = 200.0
  static let reserve = 100.0
  private static let rateOfSource = 80.0
  static let burstOfSource = 20.0
  /// A source is full again, and forgotten, a quarter of a second after its last answer, and in that
  /// time there are no more than 400.
  static let sourcesMax = 1_024
}
