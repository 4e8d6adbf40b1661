internal import QuicTransport

/// What a session does with roads through relays. On the loop.
protocol RelayedSession: AnyObject {
  /// The relay of this road is about to stop.
  func relayRetires(_ road: NetworkPath)
  /// Whether the session goes by it, or its peer may.
  func isInUse(_ road: NetworkPath) -> Bool
  /// To the peer and back on it, by the last probes.
  func length(of road: NetworkPath) -> Duration?
}

/// Which relay carries, which is warm, and why; and what becomes of one that is about to stop.
extension MeetingCore {
  /// The relay says that it is about to stop: another one is looked for, and the session leaves while it
  /// still can. What it leaves behind is given back, so that the relay need not wait for it.
  func noteRestart(of client: RendezvousClient) {
    restarting.insert(ObjectIdentifier(client))
    lookForPeer()
    for meeting in meetings(at: client) {
      if let leg = meeting.leg { session?.relayRetires(leg.path) }
    }
    review(after: Self.leavingInterval)
  }

  /// Whether a relay that is about to stop can be done without.
  func isExpendable(_ client: RendezvousClient) -> Bool {
    restarting.contains(ObjectIdentifier(client)) && warm.contains { !isUseless($0) }
  }

  /// Looks in a moment at what the relays are worth.
  func review(after delay: Duration) {
    guard case .dialling = role, clients.count > 1, !isClosed else { return }
    let due = loop.now + delay
    if let timer = reviewTimer, timer.isArmed, timer.deadline <= due { return }
    let timer = reviewTimer ?? LoopTimer { [weak self] _ in self?.review() }
    reviewTimer = timer
    loop.schedule(timer, at: due)
  }

  private func review() {
    guard !isClosed else { return }
    leaveRestarting()
    let step = ranking.next(relays, warmMax: Self.warmMax, now: loop.now)
    switch step {
    case .nothing: break
    case .tryOut(let id):
      guard let client = clients.first(where: { ObjectIdentifier($0) == id }) else { break }
      warm.append(client)
      find(client)
    case .giveUp(let id):
      warm.removeAll { ObjectIdentifier($0) == id }
      leave(id)
      lookForPeer()
    }
    tellIfNew()
    review(after: restarting.isEmpty ? Self.reviewInterval : Self.leavingInterval)
  }

  /// Gives back the roads through relays that are about to stop, as soon as the session has left them.
  private func leaveRestarting() {
    for client in clients where isExpendable(client) && client.isOpen {
      let legs = meetings(at: client).compactMap(\.leg)
      guard !legs.isEmpty, legs.allSatisfy({ session?.isInUse($0.path) == false }) else { continue }
      leave(ObjectIdentifier(client))
    }
  }

  private func leave(_ id: ObjectIdentifier) {
    for (meeting, state) in meetings where meeting.client == id && state.leg != nil {
      client(meeting)?.send(.done(introduction: meeting.introduction))
      forget(meeting)
    }
  }

  private func meetings(at client: RendezvousClient) -> [Meeting] {
    meetings.filter { $0.key.client == ObjectIdentifier(client) }.map(\.value)
  }

  private var relays: [RelayRanking<ObjectIdentifier>.Relay] {
    // In the order in which they became warm, and then in that of the ticket.
    let order = warm + clients.filter { client in !warm.contains { $0 === client } }
    return order.map { client in
      let leg = meetings(at: client).compactMap(\.leg).first
      return RelayRanking.Relay(
        id: ObjectIdentifier(client), own: client.roundTrip,
        sum: leg.flatMap { session?.length(of: $0.path) },
        isUsable: client.isOpen && !isUseless(client),
        isWarm: warm.contains { $0 === client },
        isInUse: leg.map { session?.isInUse($0.path) == true } ?? false)
    }
  }

  // MARK: Telling

  /// The relays as they are now, the one that carries first.
  var relayReports: [RelayReport] {
    let reports = clients.map { client -> RelayReport in
      let leg = meetings(at: client).compactMap(\.leg).first { leg in
        session?.isInUse(leg.path) == true
      }
      let spare = meetings(at: client).compactMap(\.leg).first
      var report = RelayReport(
        key: client.rendezvous.key, address: client.address ?? client.rendezvous.addresses.first,
        standing: .away, roundTrip: client.isOpen ? client.roundTrip : nil)
      guard client.isOpen else { return report }
      report.sessionRoundTrip = (leg ?? spare).flatMap { session?.length(of: $0.path) }
      report.standing =
        if restarting.contains(ObjectIdentifier(client)) {
          .restarting
        } else if case .sharing = role {
          .registered
        } else if leg != nil {
          .carries
        } else {
          spare == nil ? .spare : .warm
        }
      return report
    }
    return reports.filter { $0.standing == .carries } + reports.filter { $0.standing != .carries }
  }

  /// Says which relay carries and which are warm whenever that is another one, once both are measured.
  private func tellIfNew() {
    let used = relayReports.filter { $0.standing == .carries || $0.standing == .warm }
    guard used.contains(where: { $0.standing == .carries }), used.count > 1,
      used.allSatisfy({ $0.sessionRoundTrip != nil })
    else { return }
    let standings = used.map(\.key)
    guard standings != toldRelays else { return }
    toldRelays = standings
    onEvent(.relaysRanked(used))
  }

  /// A path manager measures its spare roads as often.
  private static let reviewInterval = Duration.seconds(5)
  /// What is on the way when a session leaves a road arrives within that.
  private static let leavingInterval = Duration.seconds(1)
}
