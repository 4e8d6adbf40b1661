internal import QuicTransport

/// How a path is watched: what is asked, how often, and what silence means.
extension PathManager {
  /// Silence means nothing where no answer is due: the last packet may have been an acknowledgement.
  func forgiveSilence() {
    guard connection.bytesInFlight == 0 else { return }
    paths[active].unansweredDataSince = nil
    if paths[active].probes.isEmpty { paths[active].unansweredSince = nil }
  }

  /// Silence for this long is suspicious.
  private func patience(_ path: PathState) -> Duration {
    max(Self.doubtAfter, (path.roundTrip.smoothed ?? .zero) * 3)
  }

  /// The probes of the path in use, while data moves on it or has just ceased to: they find out what
  /// data alone does not tell, because what arrives proves nothing about the other direction, nor
  /// small packets about large ones.
  func watchProbes(now: Instant) {
    let path = paths[active]
    let patience = patience(path)
    guard let lastData = path.lastData, now - lastData < Self.activeFor else { return }
    let wasQuiet = path.lastHeard.map { now - $0 >= patience } ?? false
    let isUntested = (path.probes.lastSent ?? Instant(nanoseconds: 0)) < (path.lastHeard ?? now)
    let soon = wasQuiet && isUntested ? now : lastProbe(path) + Self.activeProbeInterval
    paths[active].nextProbe = min(path.nextProbe, max(soon, now))
    guard let overdue = path.probes.overdue(patience: patience, now: now) else { return }
    paths[active].nextProbe = min(path.nextProbe, lastProbe(path) + Self.doubtProbeInterval)
    guard overdue.count >= Self.probesMissedMax else { return }
    paths[active].probes.clear()
    let smallPass = path.probes.smallAnswered.map { $0 > overdue.since } ?? false
    if isServer {
      complain(now: now)
    } else if smallPass {
      giveWay(now: now)
    } else {
      leaveActive(because: .silence, now: now)
    }
  }

  private func lastProbe(_ path: PathState) -> Instant {
    path.probes.lastSent ?? Instant(nanoseconds: 0)
  }

  /// Moves to another good road, for a test.
  func moveOnIfDue(now: Instant) {
    guard let cycleInterval, now - (paths[active].usedSince ?? now) >= cycleInterval else { return }
    guard pendingSelect == nil, !needsMigration else { return }
    guard let other = best(excluding: active, now: now) else { return wantAlternatives(now: now) }
    move(to: other, because: .requested)
  }

  /// Silence and lost data (client).
  func watchActive(now: Instant) {
    watchProbes(now: now)
    let path = paths[active]
    if let since = path.unansweredSince, now - since >= patience(path) {
      if doubtSince == nil { doubtSince = since }
      paths[active].nextProbe = min(paths[active].nextProbe, now)
      for index in paths.indices where index != active {
        paths[index].nextProbe = min(paths[index].nextProbe, now + Self.doubtProbeInterval)
      }
      wantAlternatives(now: now)
      if let doubtSince, now - doubtSince >= Self.doubtMax {
        leaveActive(because: .silence, now: now)
      }
    } else if path.unansweredSince == nil {
      doubtSince = nil
    }
    if let since = path.unansweredDataSince,
      now - since >= max(Self.dataLossAfter, (path.roundTrip.smoothed ?? .zero) * 6)
    {
      leaveActive(because: .dataLoss, now: now)
    }
    // On a lesser kind, or on none, ask now and then for a better one.
    if path.kind != .udp || !path.isValidated { wantAlternatives(now: now) }
  }

  /// Tells the client, which alone decides, that data is lost (server).
  func complainIfDue(now: Instant) {
    guard let since = paths[active].unansweredDataSince, now - since >= Self.dataLossAfter
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
    if index == active, path.probes.overdue(patience: patience(path), now: now) != nil {
      sendProbe(index, size: PathMessage.byteCount, now: now)
    }
    var size = PathMessage.byteCount
    if path.kind == .udp {
      size = index == active ? connection.packetSizeMax : Self.packetSizeMin
      if !path.isValidated { size = min(size, path.probeSizeMax) }
    }
    sendProbe(index, size: max(size, PathMessage.byteCount), now: now)
    paths[index].nextProbe = now + probeInterval(index)
  }

  private func sendProbe(_ index: Int, size: Int, now: Instant) {
    let number = send(
      .probe, argument: paths[index].number, on: index, size: size, now: now)
    paths[index].probes.noteSent(number, isLarge: size > PathMessage.byteCount, now: now)
  }

  private func probeInterval(_ index: Int) -> Duration {
    if index == active {
      return doubtSince == nil ? Self.idleProbeInterval : Self.doubtProbeInterval
    }
    if isServer { return paths[index].isValidated ? Self.idleProbeInterval : Self.unprovenInterval }
    return doubtSince == nil ? Self.alternativeInterval : Self.doubtProbeInterval
  }
}
