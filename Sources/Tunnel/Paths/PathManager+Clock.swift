internal import QuicTransport

/// When the clock is looked at: every 50 ms while something is going on, else when the next thing is
/// due. An idle session sleeps until its next probe.
extension PathManager {
  func handleTimeout(now: Instant) {
    guard timer != nil else { return }
    revertTrial(now: now)
    dropGone(now: now)
    forgiveSilence()
    watchSilence(now: now)
    if !isServer {
      watchActive(now: now)
      moveOnIfDue(now: now)
      if let select = pendingSelect, select.next <= now { sendSelect(now: now) }
      migrateIfDue(now: now)
    } else {
      watchProbes(now: now)
      complainIfDue(now: now)
    }
    for index in paths.indices where paths[index].nextProbe <= now && !paths[index].isGone {
      probe(index, now: now)
    }
    schedule(now: now)
  }

  func schedule(now: Instant) {
    guard let timer else { return }
    let next = isAttentive(now: now) ? now : nextDue(now: now)
    loop.schedule(timer, at: max(next, now + Self.tickInterval))
  }

  /// Whether an answer is due, or data moves or has just ceased to: what is not heard then matters.
  private func isAttentive(now: Instant) -> Bool {
    guard outage == nil else { return false }
    return activePath.unansweredSince != nil || connection.bytesInFlight > 0 || needsMigration
      || activePath.isBusy(now: now)
  }

  private func nextDue(now: Instant) -> Instant {
    var next = paths.lazy.filter { !$0.isGone }.map(\.nextProbe).min() ?? .distantFuture
    if let outage, !outage.isTold { next = min(next, outage.since + Self.tellAfter) }
    guard !isServer else { return next }
    if let outage { next = min(next, outage.nextQuestion) }
    if let pendingSelect { next = min(next, pendingSelect.next) }
    if outage != nil || wantsBetter { next = min(next, nextAlternatives(now: now)) }
    if let cycleInterval, let since = activePath.usedSince {
      next = min(next, since + cycleInterval)
    }
    return next
  }

  /// Something was sent: the silence that may follow is watched from now on.
  func wake(now: Instant) {
    guard let timer, timer.deadline > now + Self.tickInterval, outage == nil else { return }
    loop.schedule(timer, at: now + Self.tickInterval)
  }

  /// QUIC sent something. Nobody answers an acknowledgement, and a relay sends one to each of its idle
  /// nodes every 15 s.
  func wakeIfOwed(now: Instant) {
    guard let timer, timer.deadline > now + Self.tickInterval else { return }
    forgiveSilence()
    if activePath.unansweredSince != nil { wake(now: now) }
  }

  /// PathRouter. Where no answer is owed any more there is nothing to look at before the next probe,
  /// which has been put off: a relay is not woken again for a node that it has just heard.
  func tickEnded(now: Instant) {
    guard let timer, outage == nil, trial == nil, doubtSince == nil, pendingSelect == nil,
      !isAttentive(now: now), !paths.contains(where: \.isGone)
    else { return }
    let next = nextDue(now: now)
    if timer.isArmed, next > timer.deadline { loop.schedule(timer, at: next) }
  }

  /// Has everything looked at as soon as what is being done now is done.
  func lookSoon() {
    if let timer { loop.schedule(timer, at: loop.now) }
  }

  /// The machine woke up, or its addresses or routes changed: looks at every path at once.
  func lookAgain(now: Instant) {
    for index in paths.indices { paths[index].nextProbe = now }
    askedForAlternatives = nil
    lookSoon()
  }
}
