internal import QuicTransport

/// Who holds which public port or name of a relay, sans-I/O.
///
///     free --take--> in use --release--> kept for its holder --time, or nothing else is free--> free
///                      ^------take by its holder----'
///
/// A lease belongs to a key, or to a group whose nodes show the same secret. It outlives the
/// connection, and with `LeaseText` the relay.
struct LeaseBook: Equatable {
  private(set) var leases: [Place: Lease] = [:]
  let ports: ClosedRange<UInt16>?

  /// What is leased.
  struct Place: Hashable {
    var kind: PublicKind
    /// 0 where the kind has names.
    var port: UInt16
    /// Empty where it has none.
    var name: String
  }

  /// Whom a lease belongs to.
  enum Holder: Hashable {
    case key(PublicKey)
    case group([UInt8])
  }

  struct Lease: Equatable {
    var holder: Holder
    /// Who took it last.
    var key: PublicKey
    var label: [UInt8]
    /// Nil while it is in use.
    var keptUntil: Instant?
  }

  init(ports: ClosedRange<UInt16>?) {
    self.ports = ports
  }

  static func holder(of request: PublicRequest, by key: PublicKey) -> Holder {
    request.group.isEmpty ? .key(key) : .group(request.group)
  }

  // MARK: Taking and giving back

  /// Finds the place for a request and leases it. The caller has judged the right to it.
  ///
  /// - Parameters:
  ///   - allowed: the ports that it may get.
  ///   - unusable: ports that the machine did not give.
  mutating func take(
    _ request: PublicRequest, by key: PublicKey, within allowed: [ClosedRange<UInt16>],
    limits: PublicLimits, unusable: Set<UInt16>, now: Instant
  ) throws(PublicStatus) -> Place {
    expire(now: now)
    guard let kind = request.kind else { throw .unknownKind }
    let holder = Self.holder(of: request, by: key)
    let place: Place
    if kind.hasName {
      place = Place(kind: kind, port: 0, name: request.name)
    } else {
      place = try port(for: request, holder, kind, limits: limits, now: now) { port in
        !unusable.contains(port) && allowed.contains { $0.contains(port) }
      }
    }
    if let lease = leases[place] {
      guard isFor(holder, key, lease) else { throw .heldByAnother }
    } else {
      try makeRoom(for: holder, limits: limits)
    }
    leases[place] = Lease(holder: holder, key: key, label: request.label, keptUntil: nil)
    return place
  }

  /// Nobody uses it any more; its holder may have it back.
  mutating func release(_ place: Place, kept: Duration, now: Instant) {
    leases[place]?.keptUntil = now + kept
  }

  /// It could not be listened on.
  mutating func drop(_ place: Place) {
    leases[place] = nil
  }

  /// Forgets what was kept long enough.
  mutating func expire(now: Instant) {
    leases = leases.filter { $0.value.keptUntil.map { $0 > now } ?? true }
  }

  /// What was read from a file.
  mutating func restore(_ lease: Lease, of place: Place) {
    leases[place] = lease
  }

  /// A key may turn its own lease into one of a group, or back, while nobody uses it.
  private func isFor(_ holder: Holder, _ key: PublicKey, _ lease: Lease) -> Bool {
    lease.holder == holder || lease.keptUntil != nil && lease.key == key
  }

  // MARK: Ports

  private mutating func port(
    for request: PublicRequest, _ holder: Holder, _ kind: PublicKind, limits: PublicLimits,
    now: Instant, where isUsable: (UInt16) -> Bool
  ) throws(PublicStatus) -> Place {
    guard let ports else { throw .notOffered }
    func place(_ port: UInt16) -> Place { Place(kind: kind, port: port, name: "") }
    if request.port != 0 {
      guard ports.contains(request.port) else { throw .outsideRange }
      return place(request.port)
    }
    let own = leases.filter {
      $0.key.kind == kind && $0.value.holder == holder && $0.value.label == request.label
        && isUsable($0.key.port)
    }
    if let port = own.keys.map(\.port).min() { return place(port) }
    // The same key begins to look at the same place each time, even at a relay that forgot it.
    let count = ports.count
    let start = Int(seed(of: holder, request.label) % UInt64(count))
    for offset in 0..<count {
      let port = ports.lowerBound + UInt16((start + offset) % count)
      if leases[place(port)] == nil, isUsable(port) { return place(port) }
    }
    return try oldestKept(kind, limits: limits, now: now, where: isUsable)
  }

  private func seed(of holder: Holder, _ label: [UInt8]) -> UInt64 {
    let bytes: [UInt8] =
      switch holder {
      case .key(let key): Array(key.bytes)
      case .group(let group): group
      }
    return Crypto.sha256(bytes + label).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// When all ports are taken, the one that nobody has used for the longest time is free.
  private mutating func oldestKept(
    _ kind: PublicKind, limits: PublicLimits, now: Instant, where isUsable: (UInt16) -> Bool
  ) throws(PublicStatus) -> Place {
    let graceEnd = now + (limits.leaseKept - limits.leaseKeptAtLeast)
    var oldest: (place: Place, until: Instant)?
    for (place, lease) in leases where place.kind == kind && isUsable(place.port) {
      guard let until = lease.keptUntil, until <= graceEnd else { continue }
      if let known = oldest, (known.until, known.place.port) < (until, place.port) { continue }
      oldest = (place, until)
    }
    guard let oldest else { throw .noneFree }
    leases[oldest.place] = nil
    return oldest.place
  }

  /// The leases of a holder and of all are bounded; those that nobody uses give way.
  private mutating func makeRoom(for holder: Holder, limits: PublicLimits) throws(PublicStatus) {
    let own = leases.filter { $0.value.holder == holder }
    let isOver = own.count >= limits.leasesPerHolderMax
    guard isOver || leases.count >= limits.leasesMax else { return }
    let kept = (isOver ? own : leases).compactMap { place, lease in
      lease.keptUntil.map { (place, $0) }
    }
    guard let oldest = kept.min(by: { ($0.1, $0.0.port) < ($1.1, $1.0.port) }) else {
      throw .tooMany
    }
    leases[oldest.0] = nil
  }
}

extension PublicStatus: Error {}
