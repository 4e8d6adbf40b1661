public import QuicTransport

/// The candidates that a node offers: gathered from several sources, ranked, bounded, never stale.
///
/// Trickle: hand out `takeNews` whenever it is not nil, and `all` to whoever comes later.
public struct CandidateSet: Sendable {
  /// Grows with every change of what is offered.
  public private(set) var generation: UInt32 = 0
  private var entries: [Entry] = []
  private var announced: UInt32 = 0

  private struct Entry {
    var candidate: Candidate
    var expires: Instant
  }

  /// An empty set.
  public init() {}

  /// What is offered, best first.
  public var all: [Candidate] { entries.map(\.candidate) }

  /// When the next candidate goes stale.
  public var timeout: Instant? { entries.lazy.map(\.expires).min() }

  /// Offers a candidate for `lifetime` from now on, or goes on offering it.
  public mutating func insert(_ candidate: Candidate, now: Instant) {
    guard candidate.address.isUsable else { return }
    let expires = now + Self.lifetime
    if let index = entries.firstIndex(where: { $0.candidate == candidate }) {
      entries[index].expires = expires
      return
    }
    // Equals keep the order in which they came, which is the system's.
    let better = { (entry: Entry) in
      entry.candidate.kind.preference >= candidate.kind.preference
    }
    let index = entries.lastIndex(where: better).map { $0 + 1 } ?? 0
    guard index < Self.countMax else { return }
    entries.insert(Entry(candidate: candidate, expires: expires), at: index)
    entries.removeLast(max(0, entries.count - Self.countMax))
    generation += 1
  }

  /// Withdraws what does not hold any more, such as the addresses of a network that was left.
  public mutating func remove(where isGone: (Candidate) -> Bool) {
    let count = entries.count
    entries.removeAll { isGone($0.candidate) }
    if entries.count != count { generation += 1 }
  }

  /// Withdraws candidates that nobody has confirmed for `lifetime`.
  public mutating func handleTimeout(now: Instant) {
    let stale = Set(entries.lazy.filter { $0.expires <= now }.map(\.candidate))
    remove { stale.contains($0) }
  }

  /// The whole offer if it changed since the last call.
  public mutating func takeNews() -> [Candidate]? {
    guard announced != generation else { return nil }
    announced = generation
    return all
  }

  /// Peers probe all of them; more would be of use to attackers only.
  public static let countMax = 32
  /// Longer, and peers would be sent to addresses of yesterday; NATs forget after 30 s at the
  /// earliest, and whoever gathers refreshes more often than this.
  public static let lifetime = Duration.seconds(60)
}

/// Decides which of a peer's candidates are probed: a peer, though authentic, must not be able to
/// make us send to third parties.
public struct CandidateFilter: Sendable {
  /// Our own addresses, with the lengths of their networks.
  public var interfaces: [InterfaceAddress]
  /// Our reflexive addresses.
  public var reflexive: [SocketAddress]
  /// Probes private addresses even if none of our networks has them.
  public var probesPrivate = false
  /// For tests on one machine.
  public var probesLoopback = false

  /// A filter for a node with these addresses.
  public init(interfaces: [InterfaceAddress], reflexive: [SocketAddress]) {
    self.interfaces = interfaces
    self.reflexive = reflexive
  }

  /// What of `candidates` may be probed: best first, no address twice, `CandidateSet.countMax` at
  /// most.
  public func admitted(_ candidates: [Candidate]) -> [Candidate] {
    // A peer that a server sees at our own address sits behind the same NAT.
    let isNeighbour = candidates.contains { candidate in
      candidate.kind == .reflexive && reflexive.contains { candidate.address.hasSameHost(as: $0) }
    }
    var seen: Set<SocketAddress> = []
    let useful = candidates.prefix(Self.lookedAtMax).filter { candidate in
      isAllowed(candidate.address, isNeighbour: isNeighbour)
        && seen.insert(candidate.address).inserted
    }
    let ranked = useful.enumerated().sorted { left, right in
      (-score(left.element), left.offset) < (-score(right.element), right.offset)
    }
    return ranked.prefix(CandidateSet.countMax).map(\.element)
  }

  private func isAllowed(_ address: SocketAddress, isNeighbour: Bool) -> Bool {
    guard address.isUsable else { return false }
    if address.isLoopback { return probesLoopback }
    if interfaces.contains(where: { $0.address.hasSameHost(as: address) }) { return false }
    guard address.isPrivate || address.isLinkLocal else { return true }
    return probesPrivate || isNeighbour || sharesNetwork(address)
  }

  private func sharesNetwork(_ address: SocketAddress) -> Bool {
    interfaces.contains { $0.contains(address) }
  }

  /// Networks that we share first, then by kind.
  private func score(_ candidate: Candidate) -> Int {
    candidate.kind.preference + (sharesNetwork(candidate.address) ? 1_000 : 0)
  }

  /// A peer that sends more breaks the rules; the rest is not even read.
  private static let lookedAtMax = 64
}

/// An address of an interface and the length of its network's prefix.
public struct InterfaceAddress: Hashable, Sendable {
  /// Port 0.
  public var address: SocketAddress
  /// In bits: 24 for 192.0.2.0/24, 64 for most IPv6 networks.
  public var prefixLength: Int

  /// An address in a network.
  public init(address: SocketAddress, prefixLength: Int) {
    self.address = address
    self.prefixLength = prefixLength
  }

  /// Whether an address belongs to the same network.
  public func contains(_ other: SocketAddress) -> Bool {
    guard address.isIPv4 == other.isIPv4 else { return false }
    // IPv4 is kept in mapped form, behind 96 bits.
    let length = prefixLength + (address.isIPv4 ? 96 : 0)
    let high = Self.mask(length), low = Self.mask(length - 64)
    return (address.high ^ other.high) & high == 0 && (address.low ^ other.low) & low == 0
  }

  private static func mask(_ length: Int) -> UInt64 {
    length <= 0 ? 0 : length >= 64 ? .max : .max << UInt64(64 - length)
  }
}

extension SocketAddress {
  /// Whether one host can be meant by it, and a port of it: no multicast, no broadcast, no "this
  /// network", no reserved block (RFC 6890).
  public var isUsable: Bool {
    guard port != 0, !isUnspecified else { return false }
    guard let ipv4 else {
      return high >> 56 != 0xff && !(high == 0 && low >> 32 == 0) || isLoopback
    }
    return (1..<224).contains(ipv4 >> 24)
  }

  /// Whether it is the same address, whatever the port.
  func hasSameHost(as other: SocketAddress) -> Bool {
    high == other.high && low == other.low
  }
}
