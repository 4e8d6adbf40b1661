internal import QuicTransport

/// Times in which nothing is heard on any path.
///
///     heard --1 s of silence, though an answer is due--> outage --anything from the peer--> heard
///
/// On both sides, each for itself.
extension PathManager {
  /// A time of silence.
  struct Outage {
    let since: Instant
    /// The owner knows.
    var isTold = false
    /// When to ask for a stateless reset again.
    var nextQuestion: Instant
  }

  /// Into silence nothing is sent but probes. QUIC would only back off; and a peer that restarted
  /// is asked for a stateless reset, because probes of sessions that it does not know get no answer.
  func watchSilence(now: Instant) {
    guard let since = paths[active].unansweredSince else { return }
    if outage == nil {
      let roundTrip = paths[active].roundTrip.smoothed ?? connection.statistics.smoothedRTT
      guard now - since >= max(Self.outageAfter, roundTrip * 3) else { return }
      outage = Outage(since: since, nextQuestion: now)
      paths[active].nextProbe = min(paths[active].nextProbe, now)
      connection.suspend()
    }
    guard let outage else { return }
    if !outage.isTold, now - outage.since >= Self.tellAfter {
      self.outage?.isTold = true
      owner?.pathManager(self, silentFor: now - outage.since)
    }
    if !isServer, now >= outage.nextQuestion {
      let interval = outageProbeInterval
      self.outage?.nextQuestion = now + interval
      askForReset()
    }
  }

  func endOutage(now: Instant) {
    guard let outage else { return }
    self.outage = nil
    connection.resume()
    wake(now: now)
    if outage.isTold { owner?.pathManager(self, returnedAfter: now - outage.since) }
  }

  func askForReset() {
    guard let question = connection.makeResetQuestion() else { return }
    question.withUnsafeBytes { bytes in
      for path in paths where !path.isGone && !endpoint.isBlocked(path.path) {
        _ = endpoint.send(
          DatagramBatch(bytes: bytes, segmentSize: bytes.count, path: path.path, ecn: .notCapable))
      }
    }
  }

  /// Often enough to be back within a second of the network. The side that cannot dial leaves the
  /// looking to the other one after a while.
  var outageProbeInterval: Duration {
    guard let outage else { return Self.doubtProbeInterval }
    let silence = loop.now - outage.since
    if silence < Self.outageFresh { return Self.doubtProbeInterval }
    return isServer && silence >= Self.outageOld
      ? Self.idleProbeInterval : Self.outageProbeIntervalMax
  }

  /// Silence for this long, or three round trips, makes QUIC wait for a sign of life: other paths
  /// have been tried by then.
  private static let outageAfter = Duration.seconds(1)
  /// People hear of an outage that lasts.
  static let tellAfter = Duration.seconds(3)
  /// For this long it is worth probing as often as in doubt.
  private static let outageFresh = Duration.seconds(5)
  private static let outageProbeIntervalMax = Duration.milliseconds(500)
  /// The dialling side has noticed by then: it probes an idle path every 15 s.
  private static let outageOld = Duration.seconds(30)
}
