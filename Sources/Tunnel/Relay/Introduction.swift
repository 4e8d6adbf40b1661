internal import HolePunch
internal import QuicTransport

/// A dialling node and a registered one that are to meet, as their rendezvous sees it.
///
///     asked (KNOCK sent) --ADMIT--> admitted --both offers--> plans, again with each news
struct Introduction {
  let dialler: RelayPeer
  let sharer: RelayPeer
  let salt: [UInt8]
  /// Since when.
  let began: Instant
  /// The sharer has checked the token. Before, the dialler learns nothing of it.
  var isAdmitted = false
  /// Of its legs at the relay's forwarder.
  var session: UInt32?
  private var round: UInt32 = 0
  private var planned: (dialler: PunchPlan, sharer: PunchPlan)?
  private var rounds: TokenBucket

  init(dialler: RelayPeer, sharer: RelayPeer, salt: [UInt8], limits: RelayLimits, now: Instant) {
    self.dialler = dialler
    self.sharer = sharer
    self.salt = salt
    began = now
    rounds = TokenBucket(rate: limits.roundsPerSecond, burst: limits.roundsBurst, now: now)
  }

  /// Plans for both sides; nil while something is missing, or when there is nothing new.
  ///
  /// - Parameter isWanted: a side asked for a round, so even the same plan is a new one.
  mutating func nextPlans(
    isWanted: Bool, now: Instant
  ) -> (dialler: PunchPlan, sharer: PunchPlan)? {
    guard isAdmitted, let one = party(dialler), let two = party(sharer) else { return nil }
    let plans = PunchPlan.pair(round: round + 1, first: one, second: two)
    if !isWanted, let planned, planned.dialler.offer == plans.first.offer,
      planned.sharer.offer == plans.second.offer,
      plans.first.asksForTheSame(as: planned.dialler),
      plans.second.asksForTheSame(as: planned.sharer)
    {
      return nil
    }
    guard rounds.take(now: now) else { return nil }
    round += 1
    planned = (plans.first, plans.second)
    return planned
  }

  private func party(_ peer: RelayPeer) -> PunchPlan.Party? {
    guard let offer = peer.offer else { return nil }
    return PunchPlan.Party(
      offer: offer.number, report: offer.report, observed: peer.observed,
      candidates: offer.candidates, delay: peer.delay)
  }
}
