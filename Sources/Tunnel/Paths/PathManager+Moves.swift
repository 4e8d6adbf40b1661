internal import QuicTransport

/// Leaving a path and choosing another. Only the client decides; the server moves by itself when a
/// carrier closes, so that it can be heard at all.
extension PathManager {
  /// Returns to a better kind of path once it has proved itself.
  func consider(now: Instant) {
    guard !isServer, let other = best(excluding: active, now: now) else { return }
    // A session on a relay has left nothing that it could be flapping to and from.
    let answers = paths[active].kind == .relay ? 1 : Self.answersToReturn
    let isProven = paths[other].answersInRow >= answers
    let isBetter = paths[other].kind < paths[active].kind && cycleInterval == nil
    if (isBetter && isProven) || !paths[active].isValidated {
      move(to: other, because: .better)
    } else if isTimeToLeave(now: now) {
      leaveActive(because: .silence, now: now)
    }
  }

  /// Whether the path in use has been silent for too long (client). Less is too long where another one
  /// has answered since there was doubt: what was the matter is not the matter with both.
  func isTimeToLeave(now: Instant) -> Bool {
    guard paths[active].unansweredSince != nil, let since = doubtSince else { return false }
    if now - since >= Self.doubtMax { return true }
    guard now - since >= Self.doubtMaxBeside, let other = best(excluding: active, now: now),
      let heard = paths[other].lastHeard
    else { return false }
    return heard - since >= patience(paths[active])
  }

  /// The validated path of the best kind, then of the shortest round trip.
  func best(excluding index: Int, now: Instant) -> Int? {
    paths.indices
      .filter { candidate in
        let path = paths[candidate]
        return candidate != index && path.isValidated && path.isFresh(now: now)
          && !path.isShunned(now: now) && !path.isGone
      }
      .min { left, right in
        let (left, right) = (paths[left], paths[right])
        return (left.kind, left.roundTrip.smoothed ?? .zero)
          < (right.kind, right.roundTrip.smoothed ?? .zero)
      }
  }

  func leaveActive(because reason: SwitchReason, now: Instant) {
    guard let other = best(excluding: active, now: now) else { return wantAlternatives(now: now) }
    paths[active].shun(now: now)
    move(to: other, because: reason)
  }

  /// Packets do not arrive, though smaller ones do: QUIC begins again with small ones on the same
  /// road, and if that is no help the session leaves it.
  func giveWay(now: Instant) {
    guard paths[active].kind == .udp, connection.packetSizeMax > Self.packetSizeMin else {
      return leaveActive(because: .dataLoss, now: now)
    }
    paths[active].probes.clear()
    beginGeneration()
  }

  func move(to index: Int, because reason: SwitchReason) {
    guard !isServer else { return activate(index, because: reason) }
    activate(index, because: reason)
    beginGeneration()
  }

  /// To QUIC, what was a road up to now is another one.
  private func beginGeneration() {
    generation += 1
    needsMigration = true
    sendSelect(now: loop.now)
    migrateIfDue(now: loop.now)
  }

  func activate(_ index: Int, because reason: SwitchReason) {
    forgetTrial()
    active = index
    switches += 1
    doubtSince = nil
    askedForAlternatives = nil
    paths[index].unansweredSince = nil
    paths[index].unansweredDataSince = nil
    paths[index].usedSince = loop.now
    paths[index].probes.clear()
    endOutage(now: loop.now)
    owner?.pathManager(self, movedTo: paths[index], because: reason)
  }

  /// Repeated until it is answered.
  func sendSelect(now: Instant) {
    pendingSelect = (generation, now + (outage == nil ? Self.selectInterval : outageProbeInterval))
    send(.select, argument: generation, on: active, now: now)
  }

  /// Each migration spends one of the peer's connection IDs; it sends new ones within a round trip.
  func migrateIfDue(now: Instant) {
    guard needsMigration else { return }
    let next = PathLabel.generation(generation, isServer: false)
    if connection.migrate(to: next) {
      // Not before: QUIC drops what arrives under a label that it does not know yet.
      label = next
      needsMigration = false
    }
  }

  func wantAlternatives(now: Instant) {
    guard now >= nextAlternatives(now: now) else { return }
    askedForAlternatives = now
    owner?.pathManagerWantsAlternatives(self)
  }

  /// When other paths may be asked for again: soon where there is none at all, but not for hours.
  func nextAlternatives(now: Instant) -> Instant {
    guard let askedForAlternatives else { return now }
    let isUrgent = !activePath.isValidated && outageProbeInterval < Self.rescueInterval
    if isUrgent { return askedForAlternatives + Self.rescueInterval }
    // Whoever wants to know soon that the peer is gone wants to know soon that it is back.
    let patience = activePath.isValidated ? Self.alternativesInterval : idleProbeInterval
    return askedForAlternatives + min(Self.alternativesInterval, patience)
  }

  /// Moves to another good road, for a test.
  func moveOnIfDue(now: Instant) {
    guard let cycleInterval, now - (paths[active].usedSince ?? now) >= cycleInterval else { return }
    guard pendingSelect == nil, !needsMigration else { return }
    guard let other = best(excluding: active, now: now) else { return wantAlternatives(now: now) }
    move(to: other, because: .requested)
  }

  /// Leaves the path in use if its carrier closed, and takes out those that are gone.
  func dropGone(now: Instant) {
    if paths[active].isGone {
      if let other = best(excluding: active, now: now) {
        move(to: other, because: .carrierClosed)
      } else {
        // Nothing to go to yet; what is sent meanwhile is lost, and QUIC repeats it.
        if paths[active].unansweredSince == nil { paths[active].unansweredSince = now }
        wantAlternatives(now: now)
      }
    }
    for index in paths.indices.reversed() where paths[index].isGone && index != active {
      drop(index)
    }
  }
}
