internal import QuicTransport

// Which addresses a plan leads to.
extension PunchMachine {
  /// What cannot become direct by the peer's reflexive address, known before the first probe.
  func failsAtOnce(_ plan: PunchPlan, now: Instant) -> PunchFailure? {
    switch plan.mode {
    case .blocked: .udpBlocked
    case .relay: .bothNATsUnpredictable
    case .birthday: searchRests(plan, now: now) ? .searchRests : nil
    case .plain, .primed, .predict: nil
    }
  }

  private func searchRests(_ plan: PunchPlan, now: Instant) -> Bool {
    guard let searched, searched.round != plan.round else { return false }
    return now - searched.at < settings.birthdayRest
  }

  mutating func aim(at candidates: [Candidate], now: Instant) {
    guard let plan else { return }
    let failure = failsAtOnce(plan, now: now)
    if let failure, !plan.hopesForMapped { effects.append(.notDirect(failure)) }
    for candidate in candidates { aim(at: candidate, plan: plan, now: now) }
    if failure == nil { aimByMode(plan, now: now) }
    if targets.isEmpty, search == nil {
      if failure == nil { effects.append(.notDirect(.noCandidates)) }
      wait(now: now)
    }
  }

  /// One candidate; reflexive ones as the plan's mode says.
  mutating func aim(at candidate: Candidate, plan: PunchPlan, now: Instant) {
    guard targets.count < Self.targetsMax,
      !targets.contains(where: { $0.address == candidate.address && $0.socket == socket })
    else { return }
    let address = candidate.address
    guard candidate.kind == .reflexive else {
      targets.append(PunchTarget(address, socket: socket, kind: candidate.kind, now: now))
      return
    }
    switch (plan.mode, plan.role) {
    case (.plain, _):
      targets.append(PunchTarget(address, socket: socket, kind: .reflexive, now: now))
    case (.primed, _):
      if freshPortsLeft > 0 { deadlines.freshPort = now + Self.freshPortDelay }
      fallthrough
    case (.predict, .hard), (.birthday, .hard):
      targets.append(
        PunchTarget(
          address, socket: socket, kind: .reflexive, primers: settings.primerHopLimits,
          hold: plan.hold, now: now))
    // The port that a server saw says nothing here.
    case (.predict, _), (.birthday, _), (.relay, _), (.blocked, _): break
    }
  }

  private mutating func aimByMode(_ plan: PunchPlan, now: Instant) {
    switch (plan.mode, plan.role) {
    case (.predict, .hard):
      effects.append(.openSockets(count: Self.predictionSockets))
    case (.predict, .easy):
      predict(plan, steps: Array(1...PortGuess.aheadMax), now: now)
    case (.predict, .equal):
      predict(plan, steps: PortGuess.steps(isFirst: keys.isFirst), now: now)
    case (.birthday, .hard):
      searched = (plan.round, now)
      effects.append(.openSockets(count: settings.birthdaySockets))
    case (.birthday, _):
      guard let host = plan.observedPeer, host.isUsable else { return }
      searched = (plan.round, now)
      search = Search(
        ports: PortSearch(host: host, using: &random), left: settings.birthdayProbes,
        due: now + plan.hold + Self.searchLead)
    case (.plain, _), (.primed, _), (.relay, _), (.blocked, _): break
    }
  }

  /// Only the host that the rendezvous vouches for is guessed at.
  private mutating func predict(_ plan: PunchPlan, steps: [Int], now: Instant) {
    guard let host = plan.observedPeer, host.isUsable, let last = plan.peer.lastPort,
      let delta = plan.peer.portDelta, abs(delta) <= NATReport.deltaMax
    else { return }
    for steps in steps {
      let port = PortGuess.port(after: last, delta: delta, steps: steps)
      targets.append(
        PunchTarget(
          host.with(port: port), socket: socket, kind: .predicted, primers: primer,
          hold: plan.hold, now: now))
    }
  }

  /// An opened socket of the hard side sends to where the easy side is. In a search that is one
  /// primer: a full packet would be unexpected there, and spoil the port that the search comes from
  /// (see `PunchMode.primed`).
  mutating func aimFromOpened(_ socket: Int, plan: PunchPlan, now: Instant) {
    let reflexive = plan.candidates.first { $0.kind == .reflexive }?.address
    guard let address = plan.observedPeer ?? reflexive, address.isUsable else { return }
    targets.append(
      PunchTarget(
        address, socket: socket, kind: .reflexive, primers: primer,
        hold: plan.mode == .birthday ? nil : plan.hold, now: now))
  }

  /// One of middling reach, where many are sent.
  private var primer: [UInt8] {
    let limits = settings.primerHopLimits
    return limits.isEmpty ? [] : [limits[limits.count / 2]]
  }

  /// Candidates, predictions and opened sockets together.
  static let targetsMax = 1_024
}
