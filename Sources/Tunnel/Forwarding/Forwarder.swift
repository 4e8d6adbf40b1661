internal import QuicTransport

/// Told what a forwarder decides. Called on the loop.
protocol ForwarderOwner: AnyObject {
  /// A leg sends more than it may, and what is too much is lost; at most once a second and leg.
  func forwarder(_ forwarder: Forwarder, throttled leg: ForwardedSession.LegID, to rate: Int)
  /// A session was not used for so long that it is over; both sides are told.
  func forwarder(_ forwarder: Forwarder, expired session: UInt32)
}

/// The data plane of a relay: moves datagrams between the two legs of each session.
///
/// Sans-I/O: datagrams, the clock and the loop's timer come in, batches leave through the endpoint.
/// A datagram is taken by its session, its generation and the path that it came on; whatever does
/// not fit is dropped without an answer. A leg's path is that of the node's own connection, and
/// moves only by proof (`BindMessage`).
///
///     under the total rate:  arrive -> budgets -> run for one leg -> end of the tick: send (GSO)
///     above it:              arrive -> budgets -> queue of the session -> deficit round robin
final class Forwarder {
  weak var owner: (any ForwarderOwner)?
  private(set) var totals = ForwardingTotals()

  private let endpoint: EndpointCore
  private let loop: any EventLoop
  private var limits: ForwardingLimits
  private let cookies = BindCookies(key: SecretBytes(Crypto.random(32)))
  private var sessions: [UInt32: ForwardedSession] = [:]
  /// What identities and addresses have; those with nothing are not kept.
  private var accounts: [PublicKey: ForwardingAccount] = [:]
  private var addresses: [UInt64: ForwardingAccount] = [:]
  private var payers: [RelayTokenID: ForwardingAccount] = [:]
  private var total: ByteBudget
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

  init(endpoint: EndpointCore, loop: any EventLoop, limits: ForwardingLimits) {
    self.endpoint = endpoint
    self.loop = loop
    self.limits = limits
    total = ByteBudget(
      bytesPerSecond: limits.bytesPerSecond, burst: limits.burst, now: loop.now)
    turnTimer = LoopTimer { [weak self] now in self?.sendWaiting(now: now) }
    sweepTimer = LoopTimer { [weak self] now in self?.sweep(now: now) }
  }

  deinit { scratch.deallocate() }

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

  // MARK: Sessions

  /// Begins a session, both legs bound to the paths that their nodes have proved.
  ///
  /// - Parameter payer: whose rate bounds what goes both ways, besides those of the two nodes.
  func open(
    between one: Party, and other: Party, payer: Payer?
  ) throws(RelayRefusal) -> ForwardedSession {
    guard sessions.count < limits.sessionsMax else { throw .full }
    guard one.path != other.path else { throw .samePath }
    for party in [one, other] {
      guard (accounts[party.identity]?.sessions ?? 0) < limits.sessionsPerIdentityMax else {
        throw .identityLimit
      }
      guard (addresses[party.address]?.sessions ?? 0) < limits.sessionsPerAddressMax else {
        throw .addressLimit
      }
    }
    var number: UInt32
    repeat { number = UInt32.random(in: .min ... .max) } while sessions[number] != nil
    let session = ForwardedSession(
      number: number, legs: [leg(one), leg(other)], payer: payer.map(account),
      budget: ByteBudget(
        bytesPerSecond: limits.bytesPerSecondOfSession, burst: limits.burst, now: loop.now),
      now: loop.now)
    sessions[number] = session
    totals.sessions += 1
    totals.sessionsOpen = sessions.count
    if sessions.count == 1, let sweepTimer {
      loop.schedule(sweepTimer, at: loop.now + Self.sweepInterval)
    }
    return session
  }

  /// Ends a session; what waits in it is lost.
  func close(_ number: UInt32) {
    guard let session = sessions.removeValue(forKey: number) else { return }
    for leg in session.legs {
      leg.account.sessions -= 1
      if leg.account.sessions == 0 { accounts[leg.identity] = nil }
      leg.neighbours.sessions -= 1
      if leg.neighbours.sessions == 0 { addresses[leg.address] = nil }
    }
    if let payer = session.payer {
      payer.account.sessions -= 1
      if payer.account.sessions == 0 { payers[payer.token] = nil }
    }
    if let queue = session.queue {
      queuedCount -= queue.usedCount
      waiting.removeAll { $0 === session }
      session.queue = nil
    }
    totals.sessionsOpen = sessions.count
    if sessions.isEmpty, let sweepTimer { loop.cancel(sweepTimer) }
  }

  /// Ends everything.
  func close() {
    for number in sessions.keys.sorted() { close(number) }
    if let turnTimer { loop.cancel(turnTimer) }
  }

  private func leg(_ party: Party) -> ForwardedSession.Leg {
    let account = accounts[party.identity] ?? newAccount(limits.ofIdentity)
    account.sessions += 1
    accounts[party.identity] = account
    let neighbours = addresses[party.address] ?? newAccount(limits.ofAddress)
    neighbours.sessions += 1
    addresses[party.address] = neighbours
    return ForwardedSession.Leg(
      party: party, account: account, neighbours: neighbours,
      key: SecretBytes(Crypto.random(32)),
      // Room to grow by.
      generation: UInt32.random(in: 1 ... .max / 2), now: loop.now)
  }

  private func account(of payer: Payer) -> ForwardedSession.Payer {
    let rates = ForwardingLimits.Rates(
      bytesPerSecond: payer.bytesPerSecond, bindsPerSecond: limits.bindsPerSecondOfIdentity)
    let account = payers[payer.token] ?? newAccount(rates)
    account.sessions += 1
    payers[payer.token] = account
    return ForwardedSession.Payer(token: payer.token, account: account)
  }

  private func newAccount(_ rates: ForwardingLimits.Rates) -> ForwardingAccount {
    ForwardingAccount(
      bytesPerSecond: rates.bytesPerSecond, bindsPerSecond: rates.bindsPerSecond,
      burst: limits.burst, now: loop.now)
  }

  /// Takes other limits. Sessions beyond a lower number stay; rates hold for all from now on.
  func apply(_ limits: ForwardingLimits) {
    self.limits = limits
    let now = loop.now
    total = ByteBudget(bytesPerSecond: limits.bytesPerSecond, burst: limits.burst, now: now)
    for session in sessions.values {
      session.budget = ByteBudget(
        bytesPerSecond: limits.bytesPerSecondOfSession, burst: limits.burst, now: now)
    }
    for (all, rates) in [
      (Array(accounts.values), limits.ofIdentity), (Array(addresses.values), limits.ofAddress),
    ] {
      for account in all {
        account.apply(
          bytesPerSecond: rates.bytesPerSecond, bindsPerSecond: rates.bindsPerSecond,
          burst: limits.burst, now: now)
      }
    }
  }

  // MARK: Datagrams

  /// Takes a datagram that begins with `RelayHeader.firstByte`.
  func receive(_ datagram: ReceivedDatagram, now: Instant) {
    guard let header = RelayHeader(datagram.bytes), let session = sessions[header.session] else {
      totals.datagramsUnknown += 1
      return
    }
    switch header.kind {
    case .data: forward(datagram, header, of: session, now: now)
    case .bind, .answer: bind(datagram, header, of: session, now: now)
    case .challenge, .bound: totals.datagramsUnknown += 1
    }
  }

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
    guard account.budget.take(count, now: now) else {
      session.budget.restore(count)
      return .identity
    }
    guard neighbours.budget.take(count, now: now) else {
      session.budget.restore(count)
      account.budget.restore(count)
      return .address
    }
    guard let payer = session.payer, !payer.account.budget.take(count, now: now) else {
      return nil
    }
    session.budget.restore(count)
    account.budget.restore(count)
    neighbours.budget.restore(count)
    return .token
  }

  private func send(
    _ payload: UnsafeRawBufferPointer, to leg: Int, of session: ForwardedSession, ecn: ECN
  ) {
    let path = session.legs[leg].path
    if !run.accepts(payload.count, to: path, ecn: ecn) { flush() }
    run.append(session.nextHeader(to: leg), payload, to: path, ecn: ecn)
    totals.count(payload.count, over: session.legs[leg].kind)
    guard !isQueued else { return }
    isQueued = true
    loop.flushAtEndOfTick(self)
  }

  private func flush() {
    // A leg whose socket is full loses it, as networks do: a queue here would only be delay.
    if let batch = run.take() { _ = endpoint.send(batch) }
  }

  private func throttle(
    _ session: ForwardedSession, _ leg: Int, by short: ForwardingRate, now: Instant
  ) {
    totals.datagramsThrottled += 1
    totals.throttled[short.rawValue] += 1
    let last = session.legs[leg].lastThrottled
    guard last.map({ now - $0 >= Self.throttledInterval }) ?? true else { return }
    session.legs[leg].lastThrottled = now
    let rate =
      switch short {
      case .session: limits.bytesPerSecondOfSession
      case .identity: limits.bytesPerSecondOfIdentity
      case .address: limits.bytesPerSecondOfAddress
      case .token: session.payer?.account.budget.bytesPerSecond ?? 0
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
    guard queuedCount + payload.count <= limits.queueBytes,
      queue.append(payload, leg: leg, ecn: ecn)
    else {
      totals.datagramsCrowdedOut += 1
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
      session.legs[leg].account.binds.take(now: now),
      session.legs[leg].neighbours.binds.take(now: now)
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
      _ = endpoint.send(batch)
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
}

extension Forwarder: TickMember {
  func endOfTick(now: Instant) {
    isQueued = false
    flush()
  }
}
