internal import QuicTransport

/// Of several roads through relays, the best one; only the client chooses.
extension PathManager {
  /// The relay of a path is about to stop: the session leaves before it does, if there is a place to go
  /// to, and comes back to it only where there is nothing else.
  func retire(_ path: NetworkPath) {
    guard let index = paths.firstIndex(where: { $0.path == path }) else { return }
    paths[index].isRetiring = true
    consider(now: loop.now)
    // What is not measured well enough is measured now.
    for other in paths.indices where other != active { paths[other].nextProbe = loop.now }
    lookSoon()
  }

  /// Whether the session goes by this path, or the peer may still do so.
  func isInUse(_ path: NetworkPath) -> Bool {
    activePath.path == path || pendingSelect != nil || needsMigration
  }

  /// The shortest way to the peer and back that was found on a path lately.
  func length(of path: NetworkPath) -> Duration? {
    paths.first { $0.path == path }?.recent.least
  }

  /// A road through another relay was measured: goes there if that is clearly shorter, and stays so.
  func considerNearer(_ index: Int, now: Instant) {
    guard !isServer, index != active, paths[active].kind == .relay, paths[index].kind == .relay,
      cycleInterval == nil, doubtSince == nil, outage == nil, pendingSelect == nil, !needsMigration,
      !paths[index].isGone, !paths[index].isRetiring, !paths[index].isShunned(now: now),
      paths[index].recent.count >= Self.samplesMin,
      let length = paths[index].recent.least, let current = paths[active].recent.least
    else { return }
    guard nearer.note(paths[index].number, length: length, current: current, now: now) else {
      return
    }
    move(to: index, because: .nearer(from: current, to: length))
  }

  /// Whether the path in use is compared with others of its kind, so that it has to be measured as often.
  var hasRivals: Bool {
    guard activePath.kind == .relay, !isServer else { return false }
    return paths.indices.contains {
      $0 != active && paths[$0].kind == .relay && paths[$0].isValidated
    }
  }

  /// One may have been lucky.
  private static let samplesMin = 3
}
