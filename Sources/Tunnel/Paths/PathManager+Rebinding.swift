internal import QuicTransport

/// The peer's NAT gives its flow another port in the middle of it (RFC 9000 §9.3, §9.4).
///
///     old port --a packet of QUIC with news, from another port of the same host--> new port, on trial
///        ^                                                                            |
///        '-- our probe is not answered ------------------------------------ answered -+--> new port
///
/// On both sides alike, for the road in use. The peer itself notices nothing. Waiting for the answer
/// first would cost another round trip, and all that is sent meanwhile.
extension PathManager {
  /// A port of the peer's that has not proved itself.
  struct Trial {
    let former: NetworkPath
    let since: Instant
    /// What may be sent there: three times what came from there (RFC 9000 §8.1).
    var allowance: Int
  }

  /// Whether the peer may have become that: the same socket of ours, the same host, another port.
  func isNeighbourOfActive(_ path: NetworkPath) -> Bool {
    let current = activePath.path
    return activePath.kind == .udp && !activePath.isGone && path.local == current.local
      && path.remote != current.remote && CarrierKind(path) == .udp
      && path.remote.with(port: 0) == current.remote.with(port: 0)
  }

  /// PathRouter
  func peerProved(on path: NetworkPath, byteCount: Int) {
    if trial != nil {
      if path == activePath.path { trial?.allowance += Self.allowedTimes * byteCount }
      return
    }
    guard stranger == path else { return grant(byteCount, on: path) }
    stranger = nil
    let now = loop.now
    guard isNeighbourOfActive(path), now >= nextTrial else {
      return challenge(path, byteCount: byteCount)
    }
    tryPort(path, byteCount: byteCount, now: now)
  }

  /// A probe that was not seen before came from there (client; a server asks back first). It is all
  /// that comes where the peer hears nothing any more and so has nothing new to say.
  func peerProbed(from path: NetworkPath, byteCount: Int, now: Instant) {
    guard !isServer, trial == nil, now >= nextTrial, isNeighbourOfActive(path),
      !paths.contains(where: { $0.path == path })
    else { return }
    tryPort(path, byteCount: byteCount, now: now)
  }

  private func tryPort(_ path: NetworkPath, byteCount: Int, now: Instant) {
    // The state of a path that was only challenged; its road is the one in use from now on.
    if let index = paths.firstIndex(where: { $0.path == path }) { drop(index) }
    trial = Trial(
      former: activePath.path, since: now, allowance: Self.allowedTimes * byteCount)
    paths[active].path = path
    paths[active].probes.clear()
    paths[active].noteHeard(now: now, isData: true)
    doubtSince = nil
    endOutage(now: now)
    probe(active, now: now)
  }

  /// Whether so much must go to the old port, because too little came from the new one.
  func isOverdrawn(_ count: Int) -> Bool {
    guard let allowance = trial?.allowance else { return false }
    guard allowance >= count else { return true }
    trial?.allowance -= count
    return false
  }

  /// The new port has answered.
  func endTrial() {
    guard trial != nil else { return }
    trial = nil
    switches += 1
    owner?.pathManager(self, movedTo: activePath, because: .peerMoved)
  }

  /// It has not: somebody else's packets, or a NAT that forgot again.
  func revertTrial(now: Instant) {
    guard let trial else { return }
    let patience = max(Self.doubtAfter, (activePath.roundTrip.smoothed ?? .zero) * 3)
    guard now - trial.since >= patience else { return }
    forgetTrial()
    nextTrial = now + Self.trialRest
    paths[active].probes.clear()
    paths[active].nextProbe = now
  }

  /// Back to the old port.
  func forgetTrial() {
    guard let trial else { return }
    paths[active].path = trial.former
    self.trial = nil
  }

  static let allowedTimes = 3
  /// So that whoever is faster than the peer's packets does not have them all the time.
  private static let trialRest = Duration.seconds(2)
}
