internal import QuicTransport

/// Which relays a dialling node keeps warm when it knows more than that, sans-I/O.
///
///     settled --a spare may be nearer--> trying: one more than usual --measured, or 20 s--> settled
///                                              the longest way of all is given up
///
/// Each side knows how far it is from a relay itself; how far the two are from each other through it only
/// a road there tells, by a probe of the session's. A spare whose own distance is longer than the whole way
/// by the best relay cannot be better, and is not tried; one that was tried is not tried again for ten
/// minutes, unless the network changed.
struct RelayRanking<ID: Hashable> {
  private var trying: (id: ID, since: Instant)?
  private var tried: [ID: Instant] = [:]

  /// What is known of one relay.
  struct Relay {
    var id: ID
    /// To it and back; nil while there is no connection.
    var own: Duration?
    /// To the peer and back by it; nil where there is no road, or no measurement.
    var sum: Duration?
    /// Whether a session could begin there: it answers, knows the peer, and is not about to stop.
    var isUsable: Bool
    /// Whether it is one of those kept warm.
    var isWarm: Bool
    /// Whether the session goes by it.
    var isInUse: Bool
  }

  /// What to do next.
  enum Step: Equatable {
    case nothing
    /// Ask this spare for the peer.
    case tryOut(ID)
    /// Give the road through this one up.
    case giveUp(ID)
  }

  /// Another network: what was tried before says nothing.
  mutating func networkChanged() { tried.removeAll() }

  /// Called every few seconds.
  mutating func next(_ relays: [Relay], warmMax: Int, now: Instant) -> Step {
    tried = tried.filter { now - $0.value < Self.memory }
    let warm = relays.filter { $0.isWarm && $0.isUsable }
    if let trying {
      let isMeasured = relays.contains { $0.id == trying.id && $0.sum != nil }
      guard isMeasured || now - trying.since >= Self.patience else { return .nothing }
      self.trying = nil
    }
    if warm.count > warmMax, let last = longest(of: warm) {
      tried[last] = now
      return .giveUp(last)
    }
    guard warm.count == warmMax, let best = warm.compactMap(\.sum).min() else { return .nothing }
    let spare =
      relays
      .filter { relay in
        guard let own = relay.own, !relay.isWarm, relay.isUsable, tried[relay.id] == nil else {
          return false
        }
        return own + NearerRoad.margin(best) < best
      }
      .min { ($0.own ?? .zero) < ($1.own ?? .zero) }
    guard let spare else { return .nothing }
    tried[spare.id] = now
    trying = (spare.id, now)
    return .tryOut(spare.id)
  }

  /// The one to do without: never the one in use, and of two that are about as long the one that came last.
  private func longest(of warm: [Relay]) -> ID? {
    let free = warm.filter { !$0.isInUse }
    guard var last = free.last else { return nil }
    for relay in free.dropLast().reversed() {
      guard let length = relay.sum else { return relay.id }
      guard let known = last.sum else { return last.id }
      if known + NearerRoad.margin(length) < length { last = relay }
    }
    return last.id
  }

  /// A road is granted within a few round trips, and measured with the second probe.
  private static var patience: Duration { .seconds(20) }
  private static var memory: Duration { .seconds(600) }
}
