internal import QuicTransport

/// Told what a forwarder decides. Called on its loop.
protocol ForwarderOwner: AnyObject {
  /// A leg sends more than it may, and what is too much is lost; at most once a second and leg.
  func forwarder(_ forwarder: Forwarder, throttled leg: ForwardedSession.LegID, to rate: Int)
  /// A session was not used for so long that it is over.
  func forwarder(_ forwarder: Forwarder, expired session: UInt32)
  /// There is more to send than this shard's share of the total rate; said once for each share.
  func forwarderIsShort(_ forwarder: Forwarder)
  /// A datagram is of no session here: last chance to open it.
  func forwarderMissesSession(_ forwarder: Forwarder)
}

/// Where the datagrams of a forwarder leave.
protocol ForwarderRoad: AnyObject {
  /// Sends, or loses what finds the way blocked.
  func send(_ batch: DatagramBatch) -> SendResult
}

extension EndpointCore: ForwarderRoad {}

/// The data plane of a relay on one core, a shard: moves datagrams between the two legs of each
/// session.
///
/// Sans-I/O: datagrams, the clock and the loop's timer come in, batches leave by its road. A datagram
/// is taken by its session, its generation and the path that it came on; whatever does not fit is
/// dropped without an answer. A leg's path is that of the node's own connection, and moves only by
/// proof (`BindMessage`). `ForwardingDesk` says which sessions there are.
///
///     under the total rate:  arrive -> budgets -> run for one leg -> end of the tick: send (GSO)
///     above it:              arrive -> budgets -> queue of the session -> deficit round robin
final class Forwarder {
  weak var owner: (any ForwarderOwner)?
  private(set) var totals = ForwardingTotals()

  private let road: any ForwarderRoad
  private let loop: any EventLoop
  private var limits: ForwardingLimits
  private let shardCount: Int
  /// Where the sums are published for other loops; nil where nobody else looks.
  private let counters: ForwardingCounters?
  private let cookies = BindCookies(key: SecretBytes(Crypto.random(32)))
  private var sessions: [UInt32: ForwardedSession] = [:]
  /// Accounts that sessions here use.
  private var purses: [ObjectIdentifier: Purse] = [:]
  /// This shard's part of the total rate.
  private var total: ByteBudget
  private var hasSaidShort = false
  /// Whether sessions count what they ask for.
  private var countsDemand = false
  /// Sessions with something in their queues, in the order of their turns.
  private var waiting: [ForwardedSession] = []
  /// Bytes in all queues.
  private(set) var queuedCount = 0
  private var run = DatagramRun()
  private let scratch = UnsafeMutableRawBufferPointer.allocate(
    byteCount: DatagramRun.payloadMax, alignment: 16)
  private var isQueued = false
  private var turnTimer: LoopTimer?
  private var sweepTimer: LoopTimer?

  /// - Parameters:
  ///   - shardCount: forwarders that share the limits in all.
  ///   - counters: where to publish the sums, if other loops want to see them.
  init(
    road: any ForwarderRoad, loop: any EventLoop, limits: ForwardingLimits, shardCount: Int,
    counters: ForwardingCounters?
  ) {
    self.road = road
    self.loop = loop
    self.limits = limits
    self.shardCount = shardCount
    self.counters = counters
    total = limits.totalBudget(shardCount: shardCount, now: loop.now)
    turnTimer = LoopTimer { [weak self] now in self?.sendWaiting(now: now) }
    sweepTimer = LoopTimer { [weak self] now in self?.sweep(now: now) }
  }

  deinit { scratch.deallocate() }

  // MARK: Sessions

  /// Begins a session, both legs bound to the paths that their nodes have proved.
  func open(_ order: SessionOrder) {
    let now = loop.now
    let session = ForwardedSession(
      number: order.number,
      legs: order.legs.map { leg in
        ForwardedSession.Leg(
          leg, account: purse(for: leg.account), neighbours: purse(for: leg.neighbours), now: now)
      },
      payer: order.payer.map(purse),
      budget: ByteBudget(
        bytesPerSecond: limits.bytesPerSecondOfSession, burst: limits.burst, now: now),
      now: now)
    sessions[order.number] = session
    if sessions.count == 1, let sweepTimer {
      loop.schedule(sweepTimer, at: now + Self.sweepInterval)
    }
  }

  /// Ends a session; what waits in it is lost.
  func close(_ number: UInt32) {
    guard let session = sessions.removeValue(forKey: number) else { return }
    for leg in session.legs {
      release(leg.account)
      release(leg.neighbours)
    }
    if let payer = session.payer { release(payer) }
    if let queue = session.queue {
      queuedCount -= queue.usedCount
      waiting.removeAll { $0 === session }
      session.queue = nil
    }
    if sessions.isEmpty, let sweepTimer { loop.cancel(sweepTimer) }
  }

  /// Ends everything.
  func close() {
    for number in sessions.keys.sorted() { close(number) }
    if let turnTimer { loop.cancel(turnTimer) }
  }

  private func purse(for account: ForwardingAccount) -> Purse {
    let id = ObjectIdentifier(account)
    let purse =
      purses[id] ?? Purse(account: account, portion: shardCount > 1 ? Self.portion : 0)
    purse.users += 1
    purses[id] = purse
    return purse
  }

  private func release(_ purse: Purse) {
    purse.users -= 1
    if purse.users == 0 { purses[ObjectIdentifier(purse.account)] = nil }
  }

  /// Takes other limits. Rates hold for all from now on; those of accounts are the desk's.
  func apply(_ limits: ForwardingLimits) {
    self.limits = limits
    let now = loop.now
    total = limits.totalBudget(shardCount: shardCount, now: now)
    hasSaidShort = false
    for session in sessions.values {
      session.budget = ByteBudget(
        bytesPerSecond: limits.bytesPerSecondOfSession, burst: limits.burst, now: now)
    }
  }

  // MARK: The total rate

  /// Takes another share of the total rate, in bytes per second.
  func take(share: Int, counts: Bool) {
    total.change(to: share, now: loop.now)
    hasSaidShort = false
    countsDemand = counts
  }

  /// What the sessions asked for since the last time.
  func takeDemand() -> ShardDemand {
    var demand = ShardDemand()
    for session in sessions.values {
      let isHungry = session.wasCut || (session.queue?.usedCount ?? 0) > Self.hungryMin
      demand.add(session.asked, isHungry: isHungry)
      session.asked = 0
      session.wasCut = false
    }
    return demand
  }

  // MARK: Datagrams

  /// Takes a datagram that begins with `RelayHeader.firstByte`.
  func receive(_ datagram: ReceivedDatagram, now: Instant) {
    if counters != nil { queueFlush() }
    guard let header = RelayHeader(datagram.bytes), let session = session(header.session) else {
      totals.datagramsUnknown += 1
      return
    }
    switch header.kind {
    case .data: forward(datagram, header, of: session, now: now)
    case .bind, .answer: bind(datagram, header, of: session, now: now)
    case .challenge, .bound: totals.datagramsUnknown += 1
    }
  }

  private func session(_ number: UInt32) -> ForwardedSession? {
    if let session = sessions[number] { return session }
    owner?.forwarderMissesSession(self)
    return sessions[number]
  }

  /// A datagram was for another loop, and is passed on.
  func countHandedOver() { totals.datagramsHandedOver += 1 }

  /// So many could not be passed on.
  func countLost(_ count: Int) { totals.datagramsOverrun += UInt64(count) }

  private func forward(
    _ datagram: ReceivedDatagram, _ header: RelayHeader, of session: ForwardedSession,
    now: Instant
  ) {
    let count = datagram.bytes.count - RelayHeader.byteCount
    guard let leg = session.leg(at: datagram.path, generation: header.generation),
      count > 0, count <= DatagramRun.payloadMax
    else {
      totals.datagramsUnknown += 1
      return
    }
    session.legs[leg].lastHeard = now
    if let short = pay(count, for: leg, of: session, now: now) {
      return throttle(session, leg, by: short, now: now)
    }
    if countsDemand { session.asked += count }
    let payload = UnsafeRawBufferPointer(rebasing: datagram.bytes[RelayHeader.byteCount...])
    if waiting.isEmpty, total.take(count, now: now) {
      send(payload, to: 1 - leg, of: session, ecn: datagram.ecn)
    } else {
      enqueue(payload, to: 1 - leg, of: session, ecn: datagram.ecn, now: now)
    }
  }

  /// Takes the bytes from every budget, or from none; the one that is short.
  private func pay(
    _ count: Int, for leg: Int, of session: ForwardedSession, now: Instant
  ) -> ForwardingRate? {
    let (account, neighbours) = (session.legs[leg].account, session.legs[leg].neighbours)
    guard session.budget.take(count, now: now) else { return .session }
    guard account.take(count, now: now) else {
      session.budget.restore(count)
      return .identity
    }
    guard neighbours.take(count, now: now) else {
      session.budget.restore(count)
      account.restore(count)
      return .address
    }
    guard let payer = session.payer, !payer.take(count, now: now) else {
      return nil
    }
    session.budget.restore(count)
    account.restore(count)
    neighbours.restore(count)
    return .token
  }

  private func send(
    _ payload: UnsafeRawBufferPointer, to leg: Int, of session: ForwardedSession, ecn: ECN
  ) {
    let path = session.legs[leg].path
    if !run.accepts(payload.count, to: path, ecn: ecn) { flush() }
    run.append(session.nextHeader(to: leg), payload, to: path, ecn: ecn)
    totals.count(payload.count, over: session.legs[leg].kind)
    queueFlush()
  }

  private func queueFlush() {
    guard !isQueued else { return }
    isQueued = true
    loop.flushAtEndOfTick(self)
  }

  private func flush() {
    // A leg whose socket is full loses it, as networks do: a queue here would only be delay.
    if let batch = run.take() { _ = road.send(batch) }
  }

  private func throttle(
    _ session: ForwardedSession, _ leg: Int, by short: ForwardingRate, now: Instant
  ) {
    totals.throttled[short.rawValue] += 1
    let last = session.legs[leg].lastThrottled
    guard last.map({ now - $0 >= Self.throttledInterval }) ?? true else { return }
    session.legs[leg].lastThrottled = now
    let rate =
      switch short {
      case .session: limits.bytesPerSecondOfSession
      case .identity: limits.bytesPerSecondOfIdentity
      case .address: limits.bytesPerSecondOfAddress
      case .token: session.payer?.account.bytes.perSecond ?? 0
      }
    owner?.forwarder(self, throttled: .init(session: session.number, leg: leg), to: rate)
  }

  // MARK: Turns

  private func enqueue(
    _ payload: UnsafeRawBufferPointer, to leg: Int, of session: ForwardedSession, ecn: ECN,
    now: Instant
  ) {
    let queue = session.queue ?? PacketRing(capacity: limits.queueBytesOfSession)
    let before = queue.usedCount
    if !hasSaidShort {
      hasSaidShort = true
      owner?.forwarderIsShort(self)
    }
    guard queuedCount + payload.count <= limits.queueBytes / shardCount,
      queue.append(payload, leg: leg, ecn: ecn)
    else {
      totals.datagramsCrowdedOut += 1
      session.wasCut = true
      return
    }
    queuedCount += queue.usedCount - before
    if session.queue == nil {
      session.queue = queue
      session.deficit = 0
      waiting.append(session)
    }
    if let turnTimer, !turnTimer.isArmed {
      loop.schedule(turnTimer, at: now + Self.turnInterval)
    }
  }

  /// Deficit round robin (Shreedhar and Varghese, 1995), byte for byte.
  private func sendWaiting(now: Instant) {
    while let session = waiting.first, let queue = session.queue {
      guard let entry = queue.first else {
        waiting.removeFirst()
        session.queue = nil
        continue
      }
      let count = Int(entry.count)
      if session.deficit < count {
        session.deficit += Self.quantum
        waiting.append(waiting.removeFirst())
        continue
      }
      guard total.take(count, now: now) else { break }
      session.deficit -= count
      let before = queue.usedCount
      let payload = queue.removeFirst(into: scratch)
      queuedCount -= before - queue.usedCount
      send(payload, to: Int(entry.leg), of: session, ecn: entry.ecn)
    }
    if !waiting.isEmpty, let turnTimer {
      loop.schedule(turnTimer, at: now + Self.turnInterval)
    }
  }

  // MARK: Binding

  private func bind(
    _ datagram: ReceivedDatagram, _ header: RelayHeader, of session: ForwardedSession, now: Instant
  ) {
    guard
      let leg = session.legs.indices.first(where: {
        BindMessage(datagram.bytes, key: session.legs[$0].key) != nil
      }), let message = BindMessage(datagram.bytes, key: session.legs[leg].key)
    else {
      totals.datagramsUnknown += 1
      return
    }
    let path = datagram.path
    let isBound = session.legs[leg].generation == header.generation
    if isBound {
      // Our answer was lost; anything else with an old generation is a copy.
      if session.legs[leg].path == path { reply(.bound, to: header, of: session, leg, path) }
      return
    }
    guard header.generation > session.legs[leg].generation, session.legs[1 - leg].path != path
    else { return }
    guard session.legs[leg].binds.take(now: now),
      session.legs[leg].account.account.binds.take(1, now: now),
      session.legs[leg].neighbours.account.binds.take(1, now: now)
    else {
      totals.bindingsThrottled += 1
      return
    }
    switch header.kind {
    case .bind:
      let cookie = cookies.make(
        for: path, session: session.number, generation: header.generation, now: now)
      reply(.challenge, to: header, of: session, leg, path, cookie: cookie)
    default:
      guard
        cookies.matches(
          message.cookie, for: path, session: session.number, generation: header.generation,
          now: now)
      else { return }
      session.legs[leg].path = path
      session.legs[leg].generation = header.generation
      session.legs[leg].lastHeard = now
      totals.bindings += 1
      reply(.bound, to: header, of: session, leg, path)
    }
  }

  private func reply(
    _ kind: RelayHeader.Kind, to header: RelayHeader, of session: ForwardedSession, _ leg: Int,
    _ path: NetworkPath, cookie: [UInt8] = BindMessage.noCookie
  ) {
    let message = BindMessage(
      kind: kind, session: session.number, generation: header.generation, cookie: cookie)
    message.encoded(key: session.legs[leg].key).withUnsafeBytes { bytes in
      let batch = DatagramBatch(
        bytes: bytes, segmentSize: bytes.count, path: path, ecn: .notCapable)
      _ = road.send(batch)
    }
  }

  // MARK: Leases

  private func sweep(now: Instant) {
    let expired = sessions.values.filter { $0.isExpired(now: now) }.map(\.number).sorted()
    for number in expired {
      close(number)
      owner?.forwarder(self, expired: number)
    }
    if !sessions.isEmpty, let sweepTimer {
      loop.schedule(sweepTimer, at: now + Self.sweepInterval)
    }
  }

  private static let sweepInterval = Duration.seconds(10)
  private static let throttledInterval = Duration.seconds(1)
  /// The tick of the queues: well under what a person or a round trip notices.
  private static let turnInterval = Duration.milliseconds(1)
  /// One full packet of an Ethernet path.
  private static let quantum = 1_500
  /// What several shards take of an account at once: a dozen packets.
  private static let portion = 16 * 1024
  /// Whoever has more than that waiting would send more if it could; others had bad luck in a turn.
  private static let hungryMin = 2 * quantum
}

extension Forwarder: TickMember {
  func endOfTick(now: Instant) {
    isQueued = false
    flush()
    counters?.publish(totals)
  }
}
