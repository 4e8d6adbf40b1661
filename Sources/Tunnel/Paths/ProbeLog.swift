internal import QuicTransport

/// The probes of one path that have not been answered.
///
/// A probe may be as large as the packets that the path is to carry, because a road may pass small
/// packets and lose large ones. Its answer is always small, so each side tests its own direction.
struct ProbeLog {
  private var probes: [Probe] = []
  private(set) var lastSent: Instant?
  /// When a probe of the smallest size was answered last.
  private(set) var smallAnswered: Instant?

  private struct Probe {
    let number: UInt64
    let sent: Instant
    let isLarge: Bool
  }

  /// None is on its way.
  var isEmpty: Bool { probes.isEmpty }

  /// When the first of those that are on their way left.
  var oldest: Instant? { probes.first?.sent }

  mutating func noteSent(_ number: UInt64, isLarge: Bool, now: Instant) {
    lastSent = now
    if probes.count == Self.countMax { probes.removeFirst() }
    probes.append(Probe(number: number, sent: now, isLarge: isLarge))
  }

  /// Takes an answer; nil if nothing of that number was asked. An answer to a large probe speaks for
  /// all that were sent before it, an answer to a small one for the small ones alone.
  mutating func noteAnswer(_ number: UInt64, now: Instant) -> Duration? {
    guard let probe = probes.first(where: { $0.number == number }) else { return nil }
    if !probe.isLarge { smallAnswered = now }
    probes.removeAll { $0.number <= number && (probe.isLarge || !$0.isLarge) }
    return now - probe.sent
  }

  /// Large probes that should have been answered by now, and since when.
  func overdue(patience: Duration, now: Instant) -> (count: Int, since: Instant)? {
    let late = probes.filter { $0.isLarge && now - $0.sent >= patience }
    return late.first.map { (late.count, $0.sent) }
  }

  /// What was asked before is of no interest any more.
  mutating func clear() { probes.removeAll() }

  /// Three seconds of the fastest probing, so that a round trip may take as long.
  private static let countMax = 64
}
