internal import HolePunch
internal import QuicTransport

/// A relay, sans-I/O: nodes connect over QUIC, register, and are introduced to each other.
///
/// It authenticates nodes by their identity and knows nothing of tickets: whether two nodes want to
/// meet is for the registered one to decide, by a token that only holders of its ticket can make.
/// Until it has agreed, the dialling node learns nothing about it, and it has sent nothing. Who may
/// register is for `RelayGate`; whoever looks for a registered node is vouched for by it.
///
///     FIND -> KNOCK -> ADMIT -> PLAN to both at once; OFFER, AGAIN -> PLAN to both
final class RelayCore {
  let endpoint: EndpointCore
  private let registry: PathRegistry
  /// Takes carriers over byte streams; its connections are handed in by the owner of the listener.
  let carriers: CarrierListener
  let loop: any EventLoop
  var limits: RelayLimits
  /// Who may register.
  let gate: RelayGate
  /// Moves datagrams between nodes that were introduced.
  let desk: ForwardingDesk
  /// The introduction of each session that is forwarded.
  var forwarded: [UInt32: UInt64] = [:]
  /// Nil where the relay has no public places. Set before the first node comes.
  var publicListeners: PublicListeners?
  private let stunPorts: [UInt16]
  /// The system's clock in seconds since 1970 when the relay began, and when that was.
  private let clock: (time: UInt64, at: Instant)
  let onEvent: (RelayEvent) -> Void
  /// All connections, and those of them that greeted.
  var peers: [ObjectIdentifier: RelayPeer] = [:]
  var greeted: Set<ObjectIdentifier> = []
  /// Those of them without a right: who has not looked for anybody yet, with the time of its
  /// greeting, and who has.
  var unproven: [ObjectIdentifier: Instant] = [:]
  var guests: Set<ObjectIdentifier> = []
  var watchTimer: LoopTimer?
  /// Set once it is about to stop.
  var restart: RelayAccessMessage.Restart?
  var drainTimer: LoopTimer?
  /// Called when nobody has to be waited for any more.
  var drained: [() -> Void] = []
  /// The connections that want to be found under an identity, oldest first. Several processes may
  /// have one identity; the one whose ticket a token was made with agrees.
  private(set) var registered: [PublicKey: [RelayPeer]] = [:]
  var introductions: [UInt64: Introduction] = [:]
  private var lastIntroduction: UInt64 = 0
  private var lastSerial: UInt64 = 0
  /// Who looks for an identity, registered or not.
  private var seekers: [PublicKey: Set<ObjectIdentifier>] = [:]
  private var sources: [UInt64: Source] = [:]
  var totals = RelayTotals()

  /// What one address does.
  private struct Source {
    var nodes = 0
    var finds: TokenBucket
  }

  /// - Parameters:
  ///   - stunPorts: UDP ports that answer STUN.
  ///   - time: seconds since 1970, now.
  ///   - team: the loops that forward datagrams beside this one; nil where there are none.
  init(
    endpoint: EndpointCore, registry: PathRegistry, carriers: CarrierListener,
    loop: any EventLoop, limits: RelayLimits, gate: RelayGate, stunPorts: [UInt16],
    time: UInt64, team: ForwardingTeam?, onEvent: @escaping (RelayEvent) -> Void
  ) {
    self.endpoint = endpoint
    self.registry = registry
    self.carriers = carriers
    self.loop = loop
    self.limits = limits
    self.gate = gate
    self.stunPorts = stunPorts
    clock = (time, loop.now)
    self.onEvent = onEvent
    desk = ForwardingDesk(
      endpoint: endpoint, loop: loop, limits: limits.forwarding, team: team)
    desk.owner = self
    registry.onRelayed = { [weak desk] in desk?.receive($0, now: $1) }
    endpoint.onIncoming = { [weak self] in self?.admit($0) }
    gate.onProblem = { onEvent(.accessFileUnusable($0)) }
  }

  /// What tokens of FIND are dated with. It goes on from the start of the relay and takes no part in
  /// corrections of the system's clock: all nodes must see the same one.
  private var time: UInt64 {
    clock.time + UInt64(max(0, (loop.now - clock.at).seconds))
  }

  /// Tells every node that the relay stops.
  ///
  /// - Parameter ended: called when the other loops have released their sockets.
  func close(ended: (() -> Void)? = nil) {
    for timer in [watchTimer, drainTimer] {
      if let timer { loop.cancel(timer) }
    }
    publicListeners?.close()
    endpoint.close(code: RelayCode.shuttingDown, reason: "the relay stopped")
    carriers.close()
    desk.close(ended: ended)
    endDrain()
  }

  private func admit(_ connection: ConnectionCore) {
    lastSerial += 1
    let peer = RelayPeer(
      accepting: connection, endpoint: endpoint, registry: registry, serial: lastSerial,
      limits: limits, loop: loop)
    peer.owner = self
    peers[ObjectIdentifier(peer)] = peer
  }

  /// One IPv4 address, or one IPv6 network: a host has a whole /64.
  func sourceKey(_ peer: RelayPeer) -> UInt64 {
    let remote = remote(of: peer)
    return remote.ipv4.map(UInt64.init) ?? remote.high
  }

  /// Where a node is, over UDP or TCP.
  func remote(of peer: RelayPeer) -> SocketAddress {
    let path = peer.connection.currentPath
    return carriers.remote(of: path) ?? path.remote
  }

  /// The application protocol of relays (RFC 7301).
  static let applicationProtocol = "qtun-relay/1"
  private static let leaseSeconds: UInt64 = 45
  /// Silence that ends a node's connection; nodes keep theirs alive every 15 s.
  static let idleTimeout = Duration.seconds(Int64(leaseSeconds))
}

// MARK: - Nodes

extension RelayCore: RelayPeerOwner {
  func relayPeerGreeted(_ peer: RelayPeer) -> RelayPeer.Rejection? {
    if restart != nil { return reject(.draining) }
    let key = sourceKey(peer)
    var source = sources[key] ?? Source(finds: findBucket())
    guard let identity = peer.identity, greeted.count < limits.nodesMax else {
      return reject(.nodes)
    }
    guard source.nodes < limits.nodesPerAddressMax else { return reject(.nodesOfAddress) }
    source.nodes += 1
    sources[key] = source
    peer.sourceKey = key
    greeted.insert(ObjectIdentifier(peer))
    carriers.admit(peer.connection.currentPath)
    totals.nodes += 1
    peer.admission = gate.standing(of: identity)
    if peer.admission == nil { unproven[ObjectIdentifier(peer)] = loop.now }
    watch()
    peer.welcome(
      RelayMessage.Welcome(
        version: RelayPeer.version, capabilities: capabilities, time: time,
        lease: Self.leaseSeconds, observed: peer.observed, stunPorts: stunPorts))
    onEvent(.nodeConnected(identity, peer.observed ?? peer.path.remote))
    return nil
  }

  func reject(_ refusal: RelayTotals.Refusal) -> RelayPeer.Rejection {
    totals.refusals[refusal, default: 0] += 1
    return refusal == .draining
      ? RelayPeer.Rejection(
        code: RelayDenial.restarting.code, reason: RelayDenial.restarting.reason)
      : RelayPeer.Rejection(code: RelayCode.full, reason: RelayPeer.fullReason)
  }

  private func findBucket() -> TokenBucket {
    TokenBucket(
      rate: Double(limits.findsPerSecond),
      burst: Double(RelayLimits.burstFactor * limits.findsPerSecond), now: loop.now)
  }

  func relayPeer(_ peer: RelayPeer, said message: RelayMessage) {
    // What a replaced connection still says is of no effect.
    guard greeted.contains(ObjectIdentifier(peer)), peer.dismissal == nil else { return }
    guard peer.turn == nil else { return hold(message, of: peer) }
    switch message {
    case .offer(let offer): take(offer, of: peer)
    case .register: register(peer)
    case .find(let find): take(find, of: peer)
    case .admit(let introduction): take(admitted: introduction, by: peer)
    case .again(let introduction):
      if peer.introductions.contains(introduction) { plan(introduction, isWanted: true) }
    case .done(let introduction): end(introduction, by: peer)
    case .access(.token(let secret)): take(secret: secret, of: peer)
    case .listening(let message):
      if publicListeners?.take(message, from: peer, at: remote(of: peer)) == true { break }
      peer.close(code: RelayCode.protocolViolation, reason: "unexpected message")
    case .unknown: break
    case .hello, .welcome, .knock, .plan, .gone, .absent, .throttled, .forwarding, .access:
      peer.close(code: RelayCode.protocolViolation, reason: "unexpected message")
    }
  }

  private var capabilities: UInt64 {
    RelayMessage.forwards | (publicListeners == nil ? 0 : RelayMessage.listensPublicly)
  }

  func relayPeerFloods(_ peer: RelayPeer) {
    totals.refusals[.flood, default: 0] += 1
  }

  func relayPeerEnded(_ peer: RelayPeer) {
    peers[ObjectIdentifier(peer)] = nil
    forget(peer)
  }

  /// Takes back all that a node has said.
  func forget(_ peer: RelayPeer) {
    guard greeted.remove(ObjectIdentifier(peer)) != nil, let identity = peer.identity else {
      return
    }
    unproven[ObjectIdentifier(peer)] = nil
    guests.remove(ObjectIdentifier(peer))
    if let dismissal = peer.dismissal {
      loop.cancel(dismissal)
      peer.dismissal = nil
      gate.waitEnded()
    }
    endTurn(of: peer)
    publicListeners?.forget(peer)
    if let key = peer.sourceKey, var source = sources[key] {
      source.nodes -= 1
      // An empty source is kept while its bucket refills, else reconnecting would refill it.
      sources[key] = source
      peer.sourceKey = nil
      trimSources()
    }
    for introduction in peer.introductions.sorted() { end(introduction, by: peer) }
    for wanted in peer.finds.keys { stopSeeking(wanted, by: peer) }
    peer.finds.removeAll()
    registered[identity]?.removeAll { $0 === peer }
    if registered[identity]?.isEmpty == true { registered[identity] = nil }
    peer.isRegistered = false
    onEvent(.nodeGone(identity))
  }

  private func trimSources() {
    guard sources.count > Self.sourcesMax else { return }
    sources = sources.filter { $0.value.nodes > 0 }
  }

  /// Addresses whose rate is remembered after the last node left.
  private static let sourcesMax = 16_384
}

// MARK: - Meeting

extension RelayCore {
  private func take(_ offer: NodeOffer, of peer: RelayPeer) {
    peer.offer = offer
    for introduction in peer.introductions.sorted() { plan(introduction, isWanted: false) }
  }

  private func register(_ peer: RelayPeer) {
    guard let identity = peer.identity, !peer.isRegistered, mayRegister(peer) else { return }
    peer.isRegistered = true
    registered[identity, default: []].append(peer)
    // The newest wins, and the oldest is told, so that they do not take turns.
    if let processes = registered[identity], processes.count > limits.processesPerNodeMax {
      let oldest = processes[0]
      forget(oldest)
      oldest.close(code: RelayCode.replaced, reason: "newer processes have this identity")
    }
    let waiting = seekers[identity] ?? []
    // In the order of their age, which is that of their connections.
    for seeker in waiting.compactMap({ peers[$0] }).sorted(by: { $0.serial < $1.serial }) {
      if let token = seeker.finds[identity] { introduce(seeker, to: peer, token: token) }
    }
  }

  private func take(_ find: RelayMessage.Find, of peer: RelayPeer) {
    let isKnown = peer.finds[find.peer] != nil
    guard takeFindToken(of: peer), isKnown || peer.finds.count < limits.findsPerNodeMax,
      mayFind(peer)
    else { return throttle(peer, looking: find.peer, .finds) }
    peer.finds[find.peer] = find.token
    seekers[find.peer, default: []].insert(ObjectIdentifier(peer))
    guard let sharers = registered[find.peer] else {
      return peer.answer(.absent(peer: find.peer))
    }
    for sharer in sharers where sharer !== peer { introduce(peer, to: sharer, token: find.token) }
  }

  /// The node may ask again later, and its user is told.
  private func throttle(
    _ peer: RelayPeer, looking wanted: PublicKey, _ throttle: RelayTotals.Throttle
  ) {
    totals.throttles[throttle, default: 0] += 1
    peer.answer(.throttled(peer: wanted, retryAfter: Self.throttleDelay))
  }

  private func takeFindToken(of peer: RelayPeer) -> Bool {
    guard let key = peer.sourceKey, var source = sources[key] else { return false }
    defer { sources[key] = source }
    return source.finds.take(now: loop.now)
  }

  /// Asks the sharer; if it was asked before, for the same dialler, it is asked anew.
  private func introduce(_ dialler: RelayPeer, to sharer: RelayPeer, token: [UInt8]) {
    guard let identity = dialler.identity else { return }
    // Whoever knows a sharer's key can have it asked, with tokens of two kilobytes.
    guard !sharer.isBehind(by: Self.knocksHeldMax) else {
      guard let wanted = sharer.identity else { return }
      return throttle(dialler, looking: wanted, .introductions)
    }
    let former = dialler.introductions.first { introductions[$0]?.sharer === sharer }
    if let former {
      // A refreshed token; who was let in needs no other.
      guard introductions[former]?.isAdmitted == false else {
        // Its plan may have been held back.
        return plan(former, isWanted: false)
      }
      return sharer.send(.knock(.init(introduction: former, peer: identity, token: token)))
    }
    guard hasPlace(at: sharer) else {
      guard let wanted = sharer.identity else { return }
      return throttle(dialler, looking: wanted, .introductions)
    }
    lastIntroduction += 1
    let number = lastIntroduction
    introductions[number] = Introduction(
      dialler: dialler, sharer: sharer, salt: Crypto.random(RelayMessage.saltCount),
      limits: limits, now: loop.now)
    dialler.introductions.insert(number)
    sharer.introductions.insert(number)
    sharer.send(.knock(.init(introduction: number, peer: identity, token: token)))
  }

  /// Whether a sharer can be asked once more. It says nothing to those whose token it does not take, so
  /// that they learn nothing; they must not keep the places of others for as long as they stay.
  private func hasPlace(at sharer: RelayPeer) -> Bool {
    guard sharer.introductions.count >= limits.introductionsPerNodeMax else { return true }
    let unanswered = sharer.introductions.filter { introductions[$0]?.isAdmitted == false }
    guard let oldest = unanswered.min(), let began = introductions[oldest]?.began,
      loop.now - began >= Self.admitTimeout
    else { return false }
    end(oldest, by: sharer)
    sharer.send(.gone(introduction: oldest))
    return true
  }

  private func take(admitted number: UInt64, by peer: RelayPeer) {
    guard introductions[number]?.sharer === peer, introductions[number]?.isAdmitted == false else {
      return
    }
    introductions[number]?.isAdmitted = true
    totals.introductions += 1
    // Other processes of the same identity were asked in vain.
    if let dialler = introductions[number]?.dialler {
      for other in dialler.introductions where other != number {
        guard let asked = introductions[other], asked.sharer.identity == peer.identity else {
          continue
        }
        dialler.introductions.remove(other)
        asked.sharer.introductions.remove(other)
        introductions[other] = nil
        asked.sharer.send(.gone(introduction: other))
      }
    }
    openLegs(number)
    plan(number, isWanted: false)
  }

  private func plan(_ number: UInt64, isWanted: Bool) {
    guard var introduction = introductions[number],
      // Another round, or the next offer, makes another one.
      !introduction.dialler.isBehind(by: Self.plansHeldMax),
      !introduction.sharer.isBehind(by: Self.plansHeldMax)
    else { return }
    let plans = introduction.nextPlans(isWanted: isWanted, now: loop.now)
    introductions[number] = introduction
    guard let plans, let dialler = introduction.dialler.identity,
      let sharer = introduction.sharer.identity
    else { return }
    introduction.dialler.send(
      .plan(
        .init(
          introduction: number, peer: sharer, salt: introduction.salt, plan: plans.dialler)))
    introduction.sharer.send(
      .plan(
        .init(
          introduction: number, peer: dialler, salt: introduction.salt, plan: plans.sharer)))
  }

  /// One side left; the other hears of it if it knows of the introduction at all.
  private func end(_ number: UInt64, by peer: RelayPeer) {
    guard peer.introductions.contains(number),
      let introduction = introductions.removeValue(forKey: number)
    else { return }
    let isDialler = introduction.dialler === peer
    let other = isDialler ? introduction.sharer : introduction.dialler
    introduction.dialler.introductions.remove(number)
    introduction.sharer.introductions.remove(number)
    closeLegs(introduction)
    if isDialler || introduction.isAdmitted { other.send(.gone(introduction: number)) }
    guard let sharer = introduction.sharer.identity else { return }
    if isDialler {
      introduction.dialler.finds[sharer] = nil
      stopSeeking(sharer, by: introduction.dialler)
    }
  }

  private func stopSeeking(_ wanted: PublicKey, by peer: RelayPeer) {
    seekers[wanted]?.remove(ObjectIdentifier(peer))
    if seekers[wanted]?.isEmpty == true { seekers[wanted] = nil }
  }

  private static let throttleDelay = Duration.seconds(10)
  /// What waits for a node that hears nothing: of questions, and with the plans of 256 introductions.
  private static let knocksHeldMax = 64 * 1024
  private static let plansHeldMax = 256 * 1024
  /// For an answer that takes a round trip.
  private static let admitTimeout = Duration.seconds(10)
}
