import QuicTransport

/// How one direction between two hosts treats datagrams. May be changed while the link is in use.
public struct LinkSettings: Sendable {
  /// One-way propagation delay.
  public var latency = Duration.milliseconds(5)
  /// Extra delay, uniform between zero and this; alone enough to reorder.
  public var jitter = Duration.zero
  public var lossRate = 0.0
  /// Datagrams that are lost in a row; `lossRate` stays the share of all.
  public var lossBurst = 1
  public var duplicationRate = 0.0
  /// Share of datagrams that are held back by `reorderingDelay`.
  public var reorderingRate = 0.0
  public var reorderingDelay = Duration.milliseconds(10)
  /// Share of datagrams with one byte changed.
  public var corruptionRate = 0.0
  /// Share of ECN-capable datagrams that arrive marked "congestion experienced".
  public var congestionMarkRate = 0.0
  /// The ECN field is zeroed on the way, as some routers do.
  public var clearsECN = false
  /// Nil for a link that is never busy.
  public var bitsPerSecond: Int?
  /// Bytes that wait for a busy link; what does not fit is dropped (drop-tail).
  public var queueBytes = 256 * 1024
  /// The largest IP packet; larger ones vanish without notice, as where ICMP is filtered.
  public var mtu = 1_500
  /// Nothing arrives.
  public var isBlackhole = false

  public init() {}

  /// A link with this latency and no faults.
  public init(latency: Duration) {
    self.latency = latency
  }
}

/// One direction between two hosts: applies its settings to each datagram, from its own random
/// numbers.
public final class SimLink {
  public var settings: LinkSettings
  private var random: SplitMix64
  /// When the last accepted datagram will have left the queue.
  private var busyUntil = Instant(nanoseconds: 0)
  /// Datagrams of the current burst that are still to be lost.
  private var burstLeft = 0

  init(settings: LinkSettings, seed: UInt64) {
    self.settings = settings
    random = SplitMix64(seed: seed)
  }

  /// When and how copies of a datagram arrive.
  struct Arrival {
    var at: Instant
    var ecn: ECN
    /// A byte to change, and what to change it by.
    var corruption: (offset: Int, mask: UInt8)?
  }

  /// Decides about a datagram of `count` bytes: no, one or two arrivals.
  func accept(_ count: Int, ecn: ECN, headerBytes: Int, now: Instant) -> [Arrival] {
    // All draws happen for every datagram: see `SplitMix64.chance`.
    let isLost = loses()
    let isDuplicated = random.chance(settings.duplicationRate)
    let first = drawArrival(count, ecn)
    let second = drawArrival(count, ecn)
    let packetBytes = count + headerBytes
    guard !settings.isBlackhole, packetBytes <= settings.mtu,
      let departure = enqueue(packetBytes, now: now), !isLost
    else { return [] }
    return (isDuplicated ? [first, second] : [first]).map { draw in
      Arrival(
        at: departure + settings.latency + draw.delay, ecn: draw.ecn, corruption: draw.corruption)
    }
  }

  private func loses() -> Bool {
    // Bursts begin so rarely that their share comes out right: with probability p between bursts
    // of b, b / (b + 1/p) of all are lost, for b of 1 as well.
    let rate = settings.lossRate
    let burst = Double(settings.lossBurst)
    let begins = random.chance(burst > 1 ? rate / (burst * (1 - rate) + rate) : rate)
    if burstLeft > 0 {
      burstLeft -= 1
      return true
    }
    if begins { burstLeft = settings.lossBurst - 1 }
    return begins
  }

  private struct Draw {
    var delay: Duration
    var ecn: ECN
    var corruption: (offset: Int, mask: UInt8)?
  }

  private func drawArrival(_ count: Int, _ ecn: ECN) -> Draw {
    let jitter = random.below(settings.jitter.wholeNanoseconds)
    let isReordered = random.chance(settings.reorderingRate)
    let isMarked = random.chance(settings.congestionMarkRate)
    let isCorrupted = random.chance(settings.corruptionRate)
    let offset = Int(random.below(UInt64(count)))
    let mask = UInt8(1 + random.below(255))
    var draw = Draw(delay: .nanoseconds(Int64(jitter)), ecn: ecn, corruption: nil)
    if isReordered { draw.delay += settings.reorderingDelay }
    if isMarked, ecn != .notCapable { draw.ecn = .congestionExperienced }
    if settings.clearsECN { draw.ecn = .notCapable }
    if isCorrupted, count > 0 { draw.corruption = (offset, mask) }
    return draw
  }

  /// When the last bit leaves, or nil when the queue is full.
  private func enqueue(_ bytes: Int, now: Instant) -> Instant? {
    guard let rate = settings.bitsPerSecond else { return now }
    let start = max(now, busyUntil)
    let waiting = Int((start - now).seconds * Double(rate) / 8)
    guard waiting + bytes <= settings.queueBytes else { return nil }
    let nanoseconds = Int64((Double(bytes) * 8e9 / Double(rate)).rounded(.up))
    busyUntil = start + .nanoseconds(nanoseconds)
    return busyUntil
  }
}
