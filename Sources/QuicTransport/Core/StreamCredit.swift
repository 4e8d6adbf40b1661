/// When the peer may open another stream in place of one that is done.
///
/// At once after a stream that was of use. A stream that was broken off before this side had anything
/// to say cost more than it brought: a peer that opens and resets as fast as it can (the "rapid reset"
/// of HTTP/2, CVE-2023-44487) is granted so many a second, and QUIC's own limit holds it there
/// (RFC 9000 §4.6).
struct StreamCredit {
  private var bucket: TokenBucket
  private var bidirectionalOwed: UInt64 = 0
  private var unidirectionalOwed: UInt64 = 0
  /// When to look at what is owed.
  private(set) var deadline = Instant.distantFuture

  /// - Parameter rate: streams a second that may come to nothing.
  init(rate: Int, now: Instant) {
    bucket = TokenBucket(rate: Double(rate), burst: Double(rate), now: now)
  }

  /// A stream is done: whether the peer gets its place back now. If not, `takeDue` tells when.
  mutating func grants(after stream: StreamCore, now: Instant) -> Bool {
    if !stream.cameToNothing { return true }
    // Whoever waits already is served first.
    if deadline == .distantFuture, bucket.take(now: now) { return true }
    if stream.id.isUnidirectional { unidirectionalOwed += 1 } else { bidirectionalOwed += 1 }
    if deadline == .distantFuture { deadline = now + Self.interval }
    return false
  }

  /// What is due of what is owed.
  mutating func takeDue(now: Instant) -> (bidirectional: UInt64, unidirectional: UInt64) {
    var due: (bidirectional: UInt64, unidirectional: UInt64) = (0, 0)
    guard now >= deadline else { return due }
    while bidirectionalOwed + unidirectionalOwed > 0, bucket.take(now: now) {
      if bidirectionalOwed > 0 {
        bidirectionalOwed -= 1
        due.bidirectional += 1
      } else {
        unidirectionalOwed -= 1
        due.unidirectional += 1
      }
    }
    let isPaid = bidirectionalOwed + unidirectionalOwed == 0
    deadline = isPaid ? .distantFuture : now + Self.interval
    return due
  }

  /// A MAX_STREAMS frame for dozens of streams, not for each.
  private static let interval = Duration.milliseconds(50)
}
