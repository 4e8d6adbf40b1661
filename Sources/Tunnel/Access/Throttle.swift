internal import QuicTransport

/// Counts the failures of each source address, and says how long the next answer waits.
///
/// A source is an IPv4 address, or the /64 of an IPv6 one: whoever has one address of a /64 has them
/// all (RFC 6177). Only refusals wait, and only after the proof was checked; whoever holds a valid
/// ticket is never slowed down by others behind the same NAT, whatever they do.
struct Throttle {
  private var sources: [SocketAddress: Source] = [:]

  private struct Source {
    var failures = 0
    var last: Instant
    var reported: Instant?
  }

  init() {}

  /// Notes a failure; how long to wait before it is answered.
  mutating func delay(afterFailureFrom address: SocketAddress, now: Instant) -> Duration {
    let key = Self.source(of: address)
    var source = sources[key] ?? Source(last: now)
    if now - source.last >= Self.memory { source.failures = 0 }
    source.failures += 1
    source.last = now
    makeRoom(for: key)
    sources[key] = source
    let step = source.failures - Self.failuresFree
    guard step > 0 else { return .zero }
    return min(Self.delayMax, Self.delayFirst * (1 << min(step - 1, 16)))
  }

  /// Whether a failure of this source should be told of: the first one, and one in each interval.
  mutating func isWorthTelling(of address: SocketAddress, now: Instant) -> Bool {
    let key = Self.source(of: address)
    guard var source = sources[key] else { return true }
    if let reported = source.reported, now - reported < Self.tellingInterval { return false }
    source.reported = now
    sources[key] = source
    return true
  }

  /// How many sources are remembered.
  var count: Int { sources.count }

  private static func source(of address: SocketAddress) -> SocketAddress {
    SocketAddress(high: address.high, low: address.isIPv4 ? address.low : 0, port: 0)
  }

  /// Forgets the source that was quiet for longest. Each entry has cost a peer a whole handshake,
  /// beside which a look at all of them is nothing.
  private mutating func makeRoom(for key: SocketAddress) {
    guard sources[key] == nil, sources.count >= Self.sourcesMax else { return }
    if let oldest = sources.min(by: { $0.value.last < $1.value.last }) {
      sources[oldest.key] = nil
    }
  }

  /// Somebody mixes up tickets, or several people behind one NAT do; each try dials a few addresses.
  static let failuresFree = 6
  static let delayFirst = Duration.milliseconds(250)
  /// Below the time that the greeting may take, or the peer hears of that instead.
  static let delayMax = Duration.seconds(4)
  /// A source that was quiet for so long begins anew.
  static let memory = Duration.seconds(60)
  static let tellingInterval = Duration.seconds(10)
  /// About 60 KiB.
  static let sourcesMax = 1_024
}
