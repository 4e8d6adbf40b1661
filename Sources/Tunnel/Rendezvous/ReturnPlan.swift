internal import QuicTransport

/// When a node goes back to a relay that it lost, sans-I/O.
///
///     silent, no way to it      0.5 s, 1 s, 2 s ... 60 s
///     it said that it restarts  at a moment of its choosing, then several times a second, then so
///     it refuses us             after a minute: somebody has to do something first
struct ReturnPlan {
  /// Whether visitors of a public place cannot reach us meanwhile: then dials come sooner.
  var isAwaited = false
  private var failures = 0
  /// Of the relay's last notice, until it is back.
  private var restart: RelayAccessMessage.Restart?

  /// It greeted us.
  mutating func opened() {
    failures = 0
    restart = nil
  }

  /// What failed may succeed now.
  mutating func networkChanged() { failures = 0 }

  /// It is about to stop.
  mutating func note(_ restart: RelayAccessMessage.Restart) { self.restart = restart }

  /// After this long without a greeting, a dial is given up for another: QUIC repeats itself ever
  /// more slowly, and whoever restarts is back at any moment. Nil while there is no hurry.
  var patience: Duration? { restart == nil ? nil : Self.restartPatience }

  /// How long to wait after a connection that ended or did not come about.
  ///
  /// - Parameter jitter: from 0 to 1.
  mutating func delay(because reason: QuicError?, jitter: Double) -> Duration {
    var denial: RelayDenial?
    if case .application(let code, true, _)? = reason { denial = RelayDenial(code: code) }
    if case .application(RelayCode.shuttingDown, true, _)? = reason, restart == nil {
      restart = RelayAccessMessage.Restart(stopsIn: 0, spread: Self.spreadDefault)
    }
    defer { failures += 1 }
    // It is alive, so the notice is of no more use.
    if let denial, denial != .restarting {
      restart = nil
      return Self.deniedPause * (0.5 + jitter / 2)
    }
    guard let restart else { return backoff(failures, jitter) }
    guard failures < Self.restartSteps.count else {
      return backoff(failures - Self.restartSteps.count, jitter)
    }
    let step = Self.restartSteps[failures]
    return failures > 0
      ? step * (0.5 + jitter / 2) : step + .milliseconds(Int64(restart.spread)) * jitter
  }

  /// Nodes of a relay that comes back must not come all at once.
  private func backoff(_ step: Int, _ jitter: Double) -> Duration {
    var base = Self.backoff[min(step, Self.backoff.count - 1)]
    if isAwaited { base = step == 0 ? Self.awaitedPause : min(base, Self.awaitedPauseMax) }
    return base * (0.5 + jitter / 2)
  }

  /// A relay restarts within seconds, and sessions that have no other road wait for that.
  private static let backoff: [Duration] = [
    .milliseconds(500), .seconds(1), .seconds(2), .seconds(2), .seconds(4), .seconds(8),
    .seconds(15), .seconds(30), .seconds(60),
  ]
  private static let awaitedPause = Duration.milliseconds(250)
  private static let awaitedPauseMax = Duration.seconds(2)
  /// A relay that is started again is back within a second or two.
  private static let restartSteps: [Duration] = [100, 200, 300, 400, 500, 500, 500, 500, 750, 750]
    .map { .milliseconds($0) }
  private static let restartPatience = Duration.milliseconds(1_200)
  private static let deniedPause = Duration.seconds(60)
  /// In milliseconds, where the relay named none.
  private static let spreadDefault: UInt64 = 500
}
