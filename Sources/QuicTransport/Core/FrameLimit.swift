/// Frames without use that a peer may send, as other stacks bound them since CVE-2023-44487 and
/// CVE-2024-22189: far more than an honest peer does, and far fewer than what keeps a processor busy.
struct FrameLimit {
  private var controls: TokenBucket
  private var pings: TokenBucket
  private var crumbs: TokenBucket
  /// Of the packets being read: crumbs, and pieces of streams that came of them.
  private var crumbsRead = 0
  private var piecesDelivered = 0
  /// The peer has sent too many; the connection is to be closed.
  private(set) var isExceeded = false

  /// Full buckets.
  init(now: Instant) {
    controls = TokenBucket(
      rate: Self.controlsPerSecond, burst: Self.controlsPerSecond * Self.burstSeconds, now: now)
    crumbs = TokenBucket(rate: Self.crumbsPerSecond, burst: Self.crumbsMax, now: now)
    pings = TokenBucket(
      rate: Self.pingsPerSecond, burst: Self.pingsPerSecond * Self.burstSeconds, now: now)
  }

  /// The peer sent these frames in one packet.
  @inline(__always)
  mutating func note(_ tally: FrameTally, now: Instant) {
    if tally.controlFrames + tally.pings > 0 { take(tally, now: now) }
    crumbsRead += tally.crumbs
  }

  /// Bytes of a stream came in order.
  @inline(__always)
  mutating func notePiece() {
    piecesDelivered += 1
  }

  /// A datagram was read. Crumbs that nothing came of lie behind a gap, and ngtcp2 keeps some 90 bytes
  /// for each, up to 5000 for a stream, whatever the window; or they came before.
  @inline(__always)
  mutating func endDatagram(now: Instant) {
    if crumbsRead > piecesDelivered {
      for _ in piecesDelivered..<crumbsRead where !crumbs.take(now: now) { isExceeded = true }
    }
    crumbsRead = 0
    piecesDelivered = 0
  }

  private mutating func take(_ tally: FrameTally, now: Instant) {
    for _ in 0..<tally.controlFrames where !controls.take(now: now) { isExceeded = true }
    for _ in 0..<tally.pings where !pings.take(now: now) { isExceeded = true }
  }

  /// Some 9 MB of gaps; what honest peers lose lies in far larger pieces.
  private static let crumbsMax = 100_000.0
  private static let crumbsPerSecond = 200.0
  /// A move to another path takes some ten frames, and a session that flaps moves once a second.
  private static let controlsPerSecond = 100.0
  /// A keep-alive or a probe takes one; some stacks add one to every other packet that acknowledges.
  private static let pingsPerSecond = 2_000.0
  private static let burstSeconds = 20.0
}
