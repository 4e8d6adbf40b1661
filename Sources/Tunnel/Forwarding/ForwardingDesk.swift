internal import QuicTransport

/// Told what becomes of sessions. Called on the loop.
protocol ForwardingOwner: AnyObject {
  /// A leg sends more than it may, and what is too much is lost; at most once a second and leg.
  func desk(_ desk: ForwardingDesk, throttled leg: ForwardedSession.LegID, to rate: Int)
  /// A session was not used for so long that it is over; both sides are told.
  func desk(_ desk: ForwardingDesk, expired session: UInt32)
}

/// Decides which sessions a relay forwards, and which shard has each: its number names the shard, so
/// that the kernel leads its datagrams there, whatever addresses its nodes have by then.
///
///     Forwarder (this loop, shard 0) <--calls-- desk --mail--> ForwardingShard 1, 2, ...
///
/// A session with a byte stream's leg is this loop's, which has the byte streams; others go where the
/// fewest are. What identities, addresses and tokens may have is counted here, for all shards.
final class ForwardingDesk {
  weak var owner: (any ForwardingOwner)?
  /// Shard 0, and the only one where there is one core.
  let local: Forwarder

  private let endpoint: EndpointCore
  private let loop: any EventLoop
  private let team: ForwardingTeam?
  private var posts: [ParcelPost] = []
  private var dealer: CapDealer?
  private var limits: ForwardingLimits
  private var sessions: [UInt32: Held] = [:]
  private var sessionsCount = 0
  /// Sessions of each shard.
  private var shardSessions: [Int]
  /// What identities and addresses have; those with nothing are not kept.
  private var identities = AccountBook<PublicKey>()
  private var addresses = AccountBook<UInt64>()
  private var payers = AccountBook<RelayTokenID>()
  private var shardsRunning: Int
  private var ended: [() -> Void] = []

  /// - Parameter team: the other loops; nil where there are none.
  init(
    endpoint: EndpointCore, loop: any EventLoop, limits: ForwardingLimits, team: ForwardingTeam?
  ) {
    self.endpoint = endpoint
    self.loop = loop
    self.limits = limits
    self.team = team
    let count = team?.count ?? 1
    shardSessions = Array(repeating: 0, count: count)
    shardsRunning = count - 1
    local = Forwarder(
      road: endpoint, loop: loop, limits: limits, shardCount: count, counters: nil)
    local.owner = self
    guard let team else { return }
    posts = (1..<count).map { team.parcelPost(to: $0, loop: loop, from: local) }
    team.desk.setReceiver { [weak self] in self?.take($0) }
    let dealer = CapDealer(shardCount: count, rate: limits.bytesPerSecond, loop: loop)
    self.dealer = dealer
    dealer.onShare = { [weak self] shard, share, counts in
      if shard > 0 {
        team.mail(of: shard).post(.share(share, counts: counts))
      } else {
        self?.local.take(share: share, counts: counts)
      }
    }
    dealer.onAsk = { [weak self, weak dealer] shard in
      if shard > 0 {
        team.mail(of: shard).post(.tellDemand)
      } else if let self {
        dealer?.take(demand: local.takeDemand(), of: 0)
      }
    }
  }

  /// One end of a session to be.
  struct Party {
    let identity: PublicKey
    /// That of its connection to the relay.
    let path: NetworkPath
    /// Under which its sessions are counted: an IPv4 address, or an IPv6 network.
    let address: UInt64
  }

  /// A token with a rate of its own.
  struct Payer {
    let token: RelayTokenID
    let bytesPerSecond: Int
  }

  /// What has to be given back when a session ends.
  private struct Held {
    let shard: Int
    let parties: [(identity: PublicKey, address: UInt64)]
    let payer: RelayTokenID?
  }

  // MARK: Sessions

  /// Begins a session, both legs bound to the paths that their nodes have proved.
  ///
  /// - Parameter payer: whose rate bounds what goes both ways, besides those of the two nodes.
  func open(
    between one: Party, and other: Party, payer: Payer?
  ) throws(RelayRefusal) -> SessionOrder {
    guard sessions.count < limits.sessionsMax else { throw .full }
    guard one.path != other.path else { throw .samePath }
    for party in [one, other] {
      guard identities.count(of: party.identity) < limits.sessionsPerIdentityMax else {
        throw .identityLimit
      }
      guard addresses.count(of: party.address) < limits.sessionsPerAddressMax else {
        throw .addressLimit
      }
    }
    let shard = shard(for: [one.path, other.path])
    var number: UInt32
    repeat {
      number = UInt32.random(in: .min ... .max)
    } while sessions[number] != nil || RelayHeader.shard(of: number, count: shardCount) != shard
    let order = SessionOrder(
      number: number, legs: [leg(one), leg(other)], payer: payer.map(account))
    sessions[number] = Held(
      shard: shard, parties: [one, other].map { ($0.identity, $0.address) }, payer: payer?.token)
    sessionsCount += 1
    shardSessions[shard] += 1
    if shard == 0 { local.open(order) } else { team?.mail(of: shard).post(.open(order)) }
    return order
  }

  /// Ends a session; what waits in it is lost.
  func close(_ number: UInt32) {
    guard let held = forget(number) else { return }
    if held.shard == 0 {
      local.close(number)
    } else {
      team?.mail(of: held.shard).post(.close(number))
    }
  }

  /// Ends everything, the other loops too.
  ///
  /// - Parameter ended: called when they have released their sockets.
  func close(ended: (() -> Void)? = nil) {
    for number in sessions.keys.sorted() { close(number) }
    local.close()
    dealer?.close()
    if let ended { self.ended.append(ended) }
    guard let team, shardsRunning > 0 else { return tellEnded() }
    for shard in 1..<team.count { team.mail(of: shard).post(.stop) }
  }

  private func tellEnded() {
    team?.desk.setReceiver(nil)
    let waiting = ended
    ended = []
    for tell in waiting { tell() }
  }

  private var shardCount: Int { shardSessions.count }

  private func shard(for paths: [NetworkPath]) -> Int {
    guard shardCount > 1, paths.allSatisfy({ CarrierKind($0) == .udp }) else { return 0 }
    // Of equals the last one: this loop, the first, has other things to do as well.
    return shardSessions.indices.reversed().min { shardSessions[$0] < shardSessions[$1] } ?? 0
  }

  private func forget(_ number: UInt32) -> Held? {
    guard let held = sessions.removeValue(forKey: number) else { return nil }
    shardSessions[held.shard] -= 1
    for party in held.parties {
      identities.remove(party.identity)
      addresses.remove(party.address)
    }
    if let payer = held.payer { payers.remove(payer) }
    return held
  }

  private func leg(_ party: Party) -> SessionOrder.Leg {
    let (burst, now) = (limits.burst, loop.now)
    return SessionOrder.Leg(
      path: party.path, key: SecretBytes(Crypto.random(32)),
      // Room to grow by.
      generation: UInt32.random(in: 1 ... .max / 2),
      account: identities.add(party.identity, rates: limits.ofIdentity, burst: burst, now: now),
      neighbours: addresses.add(party.address, rates: limits.ofAddress, burst: burst, now: now))
  }

  private func account(of payer: Payer) -> ForwardingAccount {
    let rates = ForwardingLimits.Rates(
      bytesPerSecond: payer.bytesPerSecond, bindsPerSecond: limits.bindsPerSecondOfIdentity)
    return payers.add(payer.token, rates: rates, burst: limits.burst, now: loop.now)
  }

  /// Takes other limits. Sessions beyond a lower number stay; rates hold for all from now on.
  func apply(_ limits: ForwardingLimits) {
    self.limits = limits
    identities.apply(limits.ofIdentity, burst: limits.burst, now: loop.now)
    addresses.apply(limits.ofAddress, burst: limits.burst, now: loop.now)
    local.apply(limits)
    guard let team else { return }
    for shard in 1..<team.count { team.mail(of: shard).post(.apply(limits)) }
    dealer?.apply(rate: limits.bytesPerSecond)
  }

  // MARK: Datagrams

  /// Takes a datagram that begins with `RelayHeader.firstByte`.
  func receive(_ datagram: ReceivedDatagram, now: Instant) {
    if let team {
      let shard = team.steering.index(of: datagram.bytes)
      if shard > 0 {
        local.countHandedOver()
        return posts[shard - 1].add(datagram)
      }
    }
    local.receive(datagram, now: now)
  }

  private func take(_ mail: DeskMail) {
    switch mail {
    case .throttled(let leg, let rate): owner?.desk(self, throttled: leg, to: rate)
    case .expired(let session): expire(session)
    case .short(let shard): dealer?.take(shortage: shard)
    case .demand(let shard, let demand): dealer?.take(demand: demand, of: shard)
    case .arrived(let parcel):
      parcel.forEach { batch in
        endpoint.receive(
          ReceivedDatagram(bytes: batch.bytes, path: batch.path, ecn: batch.ecn), now: loop.now)
      }
    case .leaving(let parcel): parcel.forEach { _ = endpoint.send($0) }
    case .stopped:
      shardsRunning -= 1
      if shardsRunning == 0 { tellEnded() }
    }
  }

  private func expire(_ session: UInt32) {
    // It may have been closed while the shard's word was under way.
    guard forget(session) != nil else { return }
    owner?.desk(self, expired: session)
  }

  // MARK: Report

  /// Sessions now.
  var sessionsOpen: Int { sessions.count }

  /// The sums of all shards.
  var totals: ForwardingTotals {
    let all = [local.totals] + (team?.counters ?? []).map(\.totals)
    var sum = ForwardingTotals()
    for totals in all { sum.add(totals) }
    sum.sessions = sessionsCount
    sum.sessionsOpen = sessions.count
    sum.shards = zip(all, shardSessions).map { totals, sessions in
      ForwardingTotals.Shard(
        sessionsOpen: sessions, datagrams: totals.datagrams, bytes: totals.bytes,
        datagramsHandedOver: totals.datagramsHandedOver)
    }
    return sum
  }
}

extension ForwardingDesk: ForwarderOwner {
  func forwarder(
    _ forwarder: Forwarder, throttled leg: ForwardedSession.LegID, to rate: Int
  ) {
    owner?.desk(self, throttled: leg, to: rate)
  }

  func forwarder(_ forwarder: Forwarder, expired session: UInt32) { expire(session) }

  func forwarderIsShort(_ forwarder: Forwarder) { dealer?.take(shortage: 0) }

  /// Nothing is on its way: this loop opens its sessions itself.
  func forwarderMissesSession(_ forwarder: Forwarder) {}
}

/// Accounts by whose they are, with the number of legs that use each.
private struct AccountBook<Owner: Hashable> {
  private var entries: [Owner: (account: ForwardingAccount, uses: Int)] = [:]

  func count(of owner: Owner) -> Int { entries[owner]?.uses ?? 0 }

  mutating func add(
    _ owner: Owner, rates: ForwardingLimits.Rates, burst: Int, now: Instant
  ) -> ForwardingAccount {
    let account =
      entries[owner]?.account ?? ForwardingAccount(rates, burst: burst, now: now)
    entries[owner] = (account, count(of: owner) + 1)
    return account
  }

  mutating func remove(_ owner: Owner) {
    guard let entry = entries[owner] else { return }
    entries[owner] = entry.uses > 1 ? (entry.account, entry.uses - 1) : nil
  }

  func apply(_ rates: ForwardingLimits.Rates, burst: Int, now: Instant) {
    for entry in entries.values { entry.account.apply(rates, burst: burst, now: now) }
  }
}
