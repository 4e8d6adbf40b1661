/// How two NATs are got through: chosen by what is known of both, and by nothing else.
public struct PunchStrategy: Equatable, Sendable {
  /// What both sides do.
  public var mode: PunchMode
  /// What the first side's part is.
  public var first: PunchRole
  /// What the second side's part is.
  public var second: PunchRole

  /// The choice for two networks. Both sides, or the rendezvous for them, come to the same.
  ///
  /// In words: a NAT with one outside port for all ("easy") can be sent to. If its filter looks at
  /// hosts only, the other side's port need not be known at all. Else the other side's ports must
  /// be steady, or regular enough to guess, or so many are opened that guesses hit one (a birthday
  /// search). Of two "hard" NATs at least one must not look at ports, or both must be regular: what
  /// remains would take some 64000 times 4 packets.
  public static func choose(first: NATReport, second: NATReport) -> PunchStrategy {
    if first.isUDPBlocked || second.isUDPBlocked { return both(.blocked) }
    switch (first.isPredictableByObservation, second.isPredictableByObservation) {
    case (true, true):
      return both(first.admitsAnyPort || second.admitsAnyPort ? .plain : .primed)
    case (true, false):
      let mode = modeForOneHard(easy: first, hard: second)
      return mode == .plain ? both(mode) : PunchStrategy(mode: mode, first: .easy, second: .hard)
    case (false, true):
      return choose(first: second, second: first).swapped
    case (false, false):
      if second.admitsAnyPort {
        return PunchStrategy(mode: .birthday, first: .easy, second: .hard)
      }
      if first.admitsAnyPort {
        return PunchStrategy(mode: .birthday, first: .hard, second: .easy)
      }
      return both(first.isRegular && second.isRegular ? .predict : .relay)
    }
  }

  private static func modeForOneHard(easy: NATReport, hard: NATReport) -> PunchMode {
    if easy.admitsAnyPort { return .plain }
    return hard.isRegular ? .predict : .birthday
  }

  private static func both(_ mode: PunchMode) -> PunchStrategy {
    PunchStrategy(mode: mode, first: .equal, second: .equal)
  }

  private var swapped: PunchStrategy {
    PunchStrategy(mode: mode, first: second, second: first)
  }
}

/// What is done with the peer's reflexive address. All other candidates are probed in every mode.
public enum PunchMode: UInt8, Sendable, CaseIterable {
  /// Probe it.
  case plain = 1
  /// Open our own NAT first, with packets that die on the way: an unexpected packet would make some
  /// gateways give our flow another port (Linux without a filter on its INPUT chain).
  case primed = 2
  /// Probe the ports that come next.
  case predict = 3
  /// The hard side opens many ports, the easy side guesses.
  case birthday = 4
  /// Nothing helps: stay on the relay.
  case relay = 5
  /// UDP does not pass at one of the two.
  case blocked = 6
}

/// A side's part.
public enum PunchRole: UInt8, Sendable, CaseIterable {
  /// Both do the same.
  case equal = 0
  /// Its outside port is known; it guesses the other's.
  case easy = 1
  /// Its outside ports have to be guessed.
  case hard = 2
}
