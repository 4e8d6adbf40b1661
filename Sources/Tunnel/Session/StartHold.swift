internal import QuicTransport

/// Holds the start of a link back until its session goes directly, or the time for that is over.
///
///     holding --a session that goes directly--> released
///        '---time over--> late --a session, whichever way it goes--> released
final class StartHold {
  /// Programs may come, from now on and whatever becomes of the session.
  private(set) var isReleased = false

  private let patience: Duration?
  private let loop: any EventLoop
  private let released: (_ isLate: Bool) -> Void
  private var timer: LoopTimer?
  private var isLate = false
  private var hasSession = false

  /// - Parameters:
  ///   - patience: nil holds nothing back.
  ///   - released: called once, with whether the time was over before there was a direct path.
  init(
    patience: Duration?, loop: any EventLoop, released: @escaping (_ isLate: Bool) -> Void
  ) {
    self.patience = patience
    self.loop = loop
    self.released = released
  }

  /// The time begins.
  func begin() {
    guard let patience, timer == nil else { return }
    let timer = LoopTimer { [weak self] _ in
      self?.isLate = true
      self?.releaseIfReady(isDirect: false)
    }
    self.timer = timer
    loop.schedule(timer, at: loop.now + patience)
  }

  /// The session goes this way now.
  func sessionGoes(by kind: CarrierKind) {
    hasSession = true
    releaseIfReady(isDirect: kind != .relay)
  }

  /// There is no session for now.
  func sessionEnded() { hasSession = false }

  func stop() {
    if let timer { loop.cancel(timer) }
  }

  private func releaseIfReady(isDirect: Bool) {
    guard !isReleased, hasSession, isDirect || isLate || patience == nil else { return }
    isReleased = true
    stop()
    released(isLate && !isDirect)
  }
}
