internal import QuicTransport

extension PathManager {
  /// Why the session is not on a better kind of carrier; nil when it is on the best.
  func obstacle(now: Instant) -> PathObstacle? {
    guard activePath.kind > .udp else { return nil }
    let better = paths.filter { $0.kind < activePath.kind && !$0.isGone }
    let resting = better.compactMap(\.shunnedUntil).filter { $0 > now }.min()
    if let resting { return .resting(resting - now) }
    return better.contains(where: \.isValidated) ? .proving : .noAnswer
  }
}
