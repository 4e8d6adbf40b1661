internal import QuicTransport

/// How a path is watched: what is asked, how often, and what silence means.
extension PathManager {
  /// Silence means nothing where no answer is due: the last packet may have been an acknowledgement.
  func forgiveSilence() {
    guard connection.bytesInFlight == 0, !paths[active].isGone else { return }
    paths[active].unansweredDataSince = nil
    if paths[active].probes.isEmpty { paths[active].unansweredSince = nil }
  }

  /// Silence for this long is suspicious.
  func patience(_ path: PathState) -> Duration {
    max(Self.doubtAfter, (path.roundTrip.smoothed ?? .zero) * 3)
  }

  /// The probes of the path in use, while data moves on it or has just ceased to: they find out what
  /// data alone does not tell, because what arrives proves nothing about the other direction, nor
  /// small packets about large ones.
  func watchProbes(now: Instant) {
    let path = paths[active]
    let patience = patience(path)
    guard outage == nil, path.isBusy(now: now) else { return }
    let wasQuiet = path.lastHeard.map { now - $0 >= patience } ?? false
    let isUntested = (path.probes.lastSent ?? Instant(nanoseconds: 0)) < (path.lastHeard ?? now)
    let soon = wasQuiet && isUntested ? now : lastProbe(path) + Self.busyProbeInterval
    paths[active].nextProbe = min(path.nextProbe, max(soon, now))
    doubtQuiet(now: now)
    guard let overdue = path.probes.overdue(patience: patience, now: now) else { return }
    paths[active].nextProbe = min(path.nextProbe, lastProbe(path) + Self.doubtProbeInterval)
    guard overdue.count >= Self.probesMissedMax else { return }
    let smallPass = path.probes.smallAnswered.map { $0 > overdue.since } ?? false
    if isServer {
      paths[active].probes.clear()
      complain(now: now)
    } else if smallPass {
      giveWay(now: now)
    } else {
      leaveActive(because: .silence, now: now)
    }
  }

  /// A side that only receives is owed nothing, until it asks. If that is not answered, the path has
  /// been silent since it became quiet, not only since then: what came before came all the time.
  private func doubtQuiet(now: Instant) {
    let path = paths[active]
    guard let asked = path.probes.oldest, let heard = path.lastHeard, heard < asked,
      asked - heard < patience(path) + Self.tickInterval * 2,
      now - asked >= max(Self.doubtProbeInterval, (path.roundTrip.smoothed ?? .zero) * 2)
    else { return }
    paths[active].unansweredSince = heard
  }

  private func lastProbe(_ path: PathState) -> Instant {
    path.probes.lastSent ?? Instant(nanoseconds: 0)
  }

  /// Silence and lost data (client).
  func watchActive(now: Instant) {
    watchProbes(now: now)
    let path = paths[active]
    if let since = path.unansweredSince, now - since >= patience(path) {
      if doubtSince == nil {
        doubtSince = since
        // Whether it is the path, or everything.
        for index in paths.indices {
          paths[index].nextProbe = min(paths[index].nextProbe, now)
        }
        askForReset()
      }
      for index in paths.indices where index != active {
        paths[index].nextProbe = min(paths[index].nextProbe, now + Self.doubtProbeInterval)
      }
      wantAlternatives(now: now)
      if isTimeToLeave(now: now) { leaveActive(because: .silence, now: now) }
    } else if path.unansweredSince == nil, doubtSince != nil {
      doubtSince = nil
      owner?.pathManagerIsSure(self)
    }
    if let since = path.unansweredDataSince,
      now - since >= max(Self.dataLossAfter, (path.roundTrip.smoothed ?? .zero) * 6)
    {
      leaveActive(because: .dataLoss, now: now)
    }
    if wantsBetter { wantAlternatives(now: now) }
  }

  /// On a lesser kind, or on none: a better one is asked for now and then.
  var wantsBetter: Bool { activePath.kind != .udp || !activePath.isValidated }

  /// Tells the client, which alone decides, that data is lost (server).
  func complainIfDue(now: Instant) {
    guard outage == nil, let since = paths[active].unansweredDataSince,
      now - since >= Self.dataLossAfter
    else { return }
    paths[active].unansweredDataSince = now
    complain(now: now)
  }

  /// On every road, because the one in question may be the one that loses it.
  private func complain(now: Instant) {
    for index in paths.indices where paths[index].isValidated {
      send(.complaint, argument: paths[active].number, on: index, now: now)
    }
  }

  /// Asks whether the other side is there.
  func probe(_ index: Int, now: Instant) {
    let path = paths[index]
    if !path.probes.isEmpty { paths[index].answersInRow = 0 }
    var size = probeSize(index, now: now)
    if !takeAllowance(size, of: index) {
      size = PathMessage.byteCount
      guard takeAllowance(size, of: index) else {
        // `grant` wakes it.
        paths[index].nextProbe = .distantFuture
        return
      }
    }
    if index == active, size > PathMessage.byteCount,
      path.probes.overdue(patience: patience(path), now: now) != nil
    {
      // Whether a small one passes where large ones do not.
      sendProbe(index, size: PathMessage.byteCount, now: now)
    }
    sendProbe(index, size: size, now: now)
    paths[index].nextProbe = now + probeInterval(index)
  }

  /// A path of UDP has to carry what it is used for, or is going to be. One on which nothing moves is
  /// only kept.
  private func probeSize(_ index: Int, now: Instant) -> Int {
    let path = paths[index]
    let isKept =
      index == active && (outage != nil || trial != nil || !path.isBusy(now: now))
    guard path.kind == .udp, !isKept else { return PathMessage.byteCount }
    let size = index == active ? connection.packetSizeMax : Self.packetSizeMin
    return max(path.isValidated ? size : min(size, path.probeSizeMax), PathMessage.byteCount)
  }

  /// Whether a probe may go there. What a client has not been heard of from has no more than it was granted,
  /// however long its session lives (`grant`).
  private func takeAllowance(_ size: Int, of index: Int) -> Bool {
    guard isServer, index != active, !paths[index].isValidated else { return true }
    guard paths[index].allowance >= size else { return false }
    paths[index].allowance -= size
    return true
  }

  private func sendProbe(_ index: Int, size: Int, now: Instant) {
    let number = send(
      .probe, argument: paths[index].number, on: index, size: size, now: now)
    paths[index].probes.noteSent(number, isLarge: size > PathMessage.byteCount, now: now)
  }

  private func probeInterval(_ index: Int) -> Duration {
    if outage != nil { return outageProbeInterval }
    if index == active {
      guard doubtSince == nil, trial == nil else { return Self.doubtProbeInterval }
      return hasRivals ? min(Self.alternativeInterval, idleProbeInterval) : idleProbeInterval
    }
    if isServer { return paths[index].isValidated ? Self.idleProbeInterval : Self.unprovenInterval }
    return doubtSince == nil ? Self.alternativeInterval : Self.doubtProbeInterval
  }
}
