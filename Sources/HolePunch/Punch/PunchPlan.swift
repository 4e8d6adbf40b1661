public import QuicTransport

/// One round of punching as one side is told about it, by the rendezvous or by the peer over a
/// relay. Both sides get theirs at about the same time and start at once.
public struct PunchPlan: Equatable, Sendable {
  /// Grows with every plan for a pair; a machine follows the highest.
  public var round: UInt32
  /// The offer of this side that the plan is made for, as it registered it. Whoever has opened
  /// another socket since must not follow: packets from a port that the peer does not know yet
  /// would spoil it (`PunchMode.primed`).
  public var offer: UInt32
  /// What to do with the peer's reflexive address.
  public var mode: PunchMode
  /// This side's part in it.
  public var role: PunchRole
  /// How long primed addresses wait before full packets follow: longer than the sides' starts are
  /// apart.
  public var hold: Duration
  /// The peer's network.
  public var peer: NATReport
  /// Where the rendezvous itself sees the peer. Guesses at ports go to this host only: a peer could
  /// name anybody.
  public var observedPeer: SocketAddress?
  /// What the peer offers.
  public var candidates: [Candidate]

  /// A plan.
  public init(
    round: UInt32, offer: UInt32, mode: PunchMode, role: PunchRole, hold: Duration, peer: NATReport,
    observedPeer: SocketAddress?, candidates: [Candidate]
  ) {
    self.round = round
    self.offer = offer
    self.mode = mode
    self.role = role
    self.hold = hold
    self.peer = peer
    self.observedPeer = observedPeer
    self.candidates = candidates
  }

  /// Whether the peer's gateway forwards a port to it: then even the worst of NATs is no obstacle.
  var hopesForMapped: Bool {
    mode != .blocked && candidates.contains { $0.kind == .mapped }
  }

  /// Whether following it would send the same packets to the same addresses. A rendezvous need not
  /// send such a plan while a round is going on.
  public func asksForTheSame(as other: PunchPlan) -> Bool {
    mode == other.mode && role == other.role && candidates == other.candidates
      && observedPeer == other.observedPeer
      && (mode != .predict || peer.lastPort == other.peer.lastPort)
  }

  /// What a rendezvous knows of one side.
  public struct Party: Equatable, Sendable {
    /// Grows when it opens another socket to be reached at; comes back in its plan.
    public var offer: UInt32
    /// Its network, as it says itself.
    public var report: NATReport
    /// Where the rendezvous sees it.
    public var observed: SocketAddress?
    /// What it offers.
    public var candidates: [Candidate]
    /// The time that a message to it takes.
    public var delay: Duration

    /// A side.
    public init(
      offer: UInt32, report: NATReport, observed: SocketAddress?, candidates: [Candidate],
      delay: Duration
    ) {
      self.offer = offer
      self.report = report
      self.observed = observed
      self.candidates = candidates
      self.delay = delay
    }
  }

  /// Plans a round for a pair; for whoever coordinates it.
  public static func pair(
    round: UInt32, first: Party, second: Party
  ) -> (first: PunchPlan, second: PunchPlan) {
    let strategy = PunchStrategy.choose(first: first.report, second: second.report)
    let skew = max(first.delay - second.delay, second.delay - first.delay)
    let hold = min(max(skew + holdMargin, holdMin), holdMax)
    func plan(_ role: PunchRole, for own: Party, _ peer: Party) -> PunchPlan {
      PunchPlan(
        round: round, offer: own.offer, mode: strategy.mode, role: role, hold: hold,
        peer: peer.report,
        observedPeer: peer.observed, candidates: peer.candidates)
    }
    return (plan(strategy.first, for: first, second), plan(strategy.second, for: second, first))
  }

  /// What the delays vary by.
  private static let holdMargin = Duration.milliseconds(50)
  private static let holdMin = Duration.milliseconds(60)
  /// Nobody waits longer for a peer that may be late anyway.
  static let holdMax = Duration.milliseconds(400)
}
