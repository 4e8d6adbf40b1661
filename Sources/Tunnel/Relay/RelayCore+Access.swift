internal import QuicTransport

/// Who may do what, and who has to leave.
extension RelayCore {
  /// Judges the token that a node shows.
  func take(secret: [UInt8], of peer: RelayPeer) {
    guard !peer.hasShownToken, let identity = peer.identity else {
      return peer.close(code: RelayCode.protocolViolation, reason: "a second token")
    }
    peer.hasShownToken = true
    // Who is let in anyway is not sent away for an old token.
    if let admission = peer.admission { return tell(peer, admission) }
    judge(secret, of: peer, identity, hasWaited: false)
  }

  private func judge(
    _ secret: [UInt8], of peer: RelayPeer, _ identity: PublicKey, hasWaited: Bool
  ) {
    let source = remote(of: peer)
    let verdict = gate.judge(secret: secret, from: source, hasWaited: hasWaited, now: loop.now)
    totals.count(verdict)
    switch verdict {
    case .admitted(let admission):
      admit(peer, admission)
      tell(peer, admission)
      if case .token(let token) = admission.holder { onEvent(.nodeAdmitted(identity, token)) }
    case .later(let delay):
      let timer = LoopTimer { [weak self, weak peer] _ in
        guard let self, let peer, let turn = peer.turn else { return }
        endTurn(of: peer)
        judge(secret, of: peer, identity, hasWaited: true)
        for message in turn.held { relayPeer(peer, said: message) }
      }
      peer.turn = RelayPeer.Turn(timer: timer)
      loop.schedule(timer, at: loop.now + delay)
    case .full:
      peer.close(code: reject(.tokens).code, reason: RelayPeer.fullReason)
      forget(peer)
    case .refused(let denial, .zero): dismiss(peer, denial)
    case .refused(let denial, let delay):
      let timer = LoopTimer { [weak self, weak peer] _ in
        guard let self, let peer else { return }
        dismiss(peer, denial)
      }
      peer.dismissal = timer
      loop.schedule(timer, at: loop.now + delay)
    }
  }

  /// Keeps what a node says before its token was looked at.
  func hold(_ message: RelayMessage, of peer: RelayPeer) {
    guard (peer.turn?.held.count ?? 0) < Self.heldMax else {
      relayPeerFloods(peer)
      return peer.close(code: RelayCode.tooMuch, reason: "too many messages")
    }
    peer.turn?.held.append(message)
  }

  /// Its token waits no more.
  func endTurn(of peer: RelayPeer) {
    guard let turn = peer.turn else { return }
    loop.cancel(turn.timer)
    peer.turn = nil
    gate.waitEnded()
  }

  private func tell(_ peer: RelayPeer, _ admission: RelayGate.Admission) {
    peer.send(
      .access(
        .rights(
          .init(
            relays: admission.scope.relays, expiry: admission.expiry,
            bytesPerSecond: UInt64(admission.scope.bytesPerSecond ?? 0)))))
  }

  private func admit(_ peer: RelayPeer, _ admission: RelayGate.Admission) {
    peer.admission = admission
    unproven[ObjectIdentifier(peer)] = nil
    guests.remove(ObjectIdentifier(peer))
  }

  /// Whether a node may register; says why if not.
  func mayRegister(_ peer: RelayPeer) -> Bool {
    guard let admission = peer.admission else {
      dismiss(peer, gate.denial)
      return false
    }
    guard admission.scope.relays else {
      totals.refusals[.denied(.notInScope), default: 0] += 1
      peer.answer(
        .access(
          .denied(type: RelayMessage.registerType, reason: RelayDenial.notInScope.rawValue)))
      return false
    }
    return true
  }

  /// Whether a node may look for others: anybody, as long as there is a place.
  func mayFind(_ peer: RelayPeer) -> Bool {
    let id = ObjectIdentifier(peer)
    guard peer.admission == nil, !guests.contains(id) else { return true }
    guard guests.count < limits.guestsMax else { return false }
    guests.insert(id)
    unproven[id] = nil
    return true
  }

  /// Sends a node away at once, with all that it has here.
  func dismiss(_ peer: RelayPeer, _ denial: RelayDenial) {
    let source = remote(of: peer)
    totals.refusals[.denied(denial), default: 0] += 1
    // Closed first: who has left hears of nothing that ends with it.
    peer.close(code: denial.code, reason: denial.reason)
    publicListeners?.expel(peer)
    forget(peer)
    if let identity = peer.identity, gate.isWorthTelling(of: source, now: loop.now) {
      onEvent(.nodeDismissed(identity, source, denial))
    }
  }

  // MARK: Staying

  /// Looks each second, while nodes are there, whose right has ended.
  func watch() {
    guard watchTimer?.isArmed != true, gate.needsWatch || !gate.access.isOpen else { return }
    let timer = LoopTimer { [weak self] _ in self?.sendAwayTheUnwelcome() }
    watchTimer = timer
    loop.schedule(timer, at: loop.now + Self.watchInterval)
  }

  private func sendAwayTheUnwelcome() {
    gate.refresh()
    // Hardly ever anybody: thousands are not put in order each second for that.
    let unwelcome = greeted.compactMap { peers[$0] }.filter { denial(of: $0) != nil }
    for peer in unwelcome.sorted(by: { $0.serial < $1.serial }) {
      if let denial = denial(of: peer) { dismiss(peer, denial) }
    }
    for (id, since) in unproven where loop.now - since >= Self.unprovenMax {
      guard let peer = peers[id] else { continue }
      totals.refusals[.idle, default: 0] += 1
      peer.close(code: RelayCode.done, reason: "nothing was asked for")
      forget(peer)
    }
    if !greeted.isEmpty { watch() }
  }

  /// Why the right of a node has ended; nil if it has not.
  private func denial(of peer: RelayPeer) -> RelayDenial? {
    guard let identity = peer.identity, let admission = peer.admission else { return nil }
    return gate.ending(of: admission, identity: identity)
  }

  /// Those that greeted, by age: the order of a set differs from run to run.
  private var peersInOrder: [RelayPeer] {
    greeted.compactMap { peers[$0] }.sorted { $0.serial < $1.serial }
  }

  // MARK: Changes

  /// Takes other limits from now on. Nodes and sessions beyond a lower number stay.
  func apply(_ limits: RelayLimits) {
    self.limits = limits
    endpoint.connectionsMax = limits.nodesMax + endpoint.settings.handshakesMax
    desk.apply(limits.forwarding)
    publicListeners?.limits = limits.listening
  }

  /// Takes other rules, unless a file of theirs cannot be read; whose right ends by them leaves.
  func apply(_ access: RelayAccess) throws(AccessProblem) {
    try gate.apply(access)
    for peer in peersInOrder where peer.admission == nil {
      guard let identity = peer.identity, let admission = gate.standing(of: identity) else {
        continue
      }
      admit(peer, admission)
    }
    sendAwayTheUnwelcome()
  }

  /// What a node says at once, behind its token: an offer, who it is, whom it looks for.
  private static let heldMax = 32
  private static let watchInterval = Duration.seconds(1)
  /// A node says at once what it wants.
  private static let unprovenMax = Duration.seconds(10)
}

extension RelayMessage {
  /// The type of REGISTER.
  static let registerType: UInt64 = 4
}

// MARK: - Ending

extension RelayCore {
  /// Tells every node that the relay is about to stop, and takes nobody new. Sessions that cross it go
  /// on until the end.
  ///
  /// - Parameter drained: called once, when no session crosses the relay any more, or after `grace`.
  func drain(within grace: Duration, drained: @escaping () -> Void) {
    self.drained.append(drained)
    guard restart == nil else { return }
    totals.isDraining = true
    let restart = RelayAccessMessage.Restart(
      stopsIn: UInt64(max(0, grace.wholeNanoseconds / 1_000_000)),
      spread: UInt64(greeted.count) * Self.millisecondsPerReturn)
    self.restart = restart
    for peer in peersInOrder { peer.send(.access(.restarting(restart))) }
    let end = loop.now + grace
    // The notices are given the time to leave and to be repeated once.
    let timer = LoopTimer { [weak self] now in
      guard let self else { return }
      guard isCrossed, now < end else { return endDrain() }
      if let drainTimer { loop.schedule(drainTimer, at: min(end, now + Self.drainInterval)) }
    }
    drainTimer = timer
    loop.schedule(timer, at: min(end, loop.now + Self.drainInterval))
  }

  /// Whether anything of others goes through the relay.
  private var isCrossed: Bool {
    desk.sessionsOpen > 0 || publicListeners.map { $0.visitorsOpen > 0 } ?? false
  }

  /// Tells whoever waits.
  func endDrain() {
    let waiting = drained
    drained = []
    for tell in waiting { tell() }
  }

  private static let drainInterval = Duration.milliseconds(200)
  /// 500 handshakes a second: half of what one core does.
  private static let millisecondsPerReturn: UInt64 = 2
}

// MARK: - Report

extension RelayCore {
  /// The sums so far, with what is open now.
  var report: RelayTotals {
    var report = totals
    report.nodesOpen = greeted.count
    report.handshakesOpen = endpoint.handshakeCount
    report.nodesRegistered = registered.values.reduce(0) { $0 + $1.count }
    report.introductionsOpen = introductions.count
    report.forwarding = desk.totals
    report.listening = publicListeners?.report
    return report
  }
}
