internal import QuicTransport

/// Which of several relays are used. The sharing side registers at all of them. The dialling side is
/// connected to all, asks two for the peer, and keeps the legs that it gets there: the relay that
/// answered first, which mostly is the nearest, and a spare. A third one is asked when one of the two
/// is gone or does not know the peer.
extension MeetingCore {
  /// Asks relays for the peer until enough know it, and has one of them make plans.
  func lookForPeer() {
    guard case .dialling = role, !isClosed else { return }
    while warm.count(where: { !isUseless($0) }) < Self.warmMax, let spare = nearestSpare {
      warm.append(spare)
      find(spare)
    }
    // Two relays would make two plans, and both sides would send everything twice.
    let planner = warm.first { !isUseless($0) } ?? warm.first
    guard planner !== self.planner else { return }
    self.planner = planner
    if offerIsReady { planner?.send(.offer(offer)) }
  }

  /// Who is told how we can be reached.
  var planners: [RendezvousClient] {
    if case .dialling = role { planner.map { [$0] } ?? [] } else { clients.filter(\.isOpen) }
  }

  func isUseless(_ client: RendezvousClient) -> Bool {
    let id = ObjectIdentifier(client)
    return useless.contains(id) || restarting.contains(id)
  }

  private var nearestSpare: RendezvousClient? {
    clients
      .filter { client in
        client.isGreeted && !isUseless(client) && !warm.contains { $0 === client }
      }
      .min { ($0.roundTrip ?? .zero) < ($1.roundTrip ?? .zero) }
  }

  /// Nothing is heard on any path to the peer: where an introduction stands, another round is asked
  /// for, else another introduction.
  func lookAgain(for peer: PublicKey) {
    // A gateway that forgot us gives out another address now.
    if path.looksForDirect { surveySoon() }
    let known = meetings.filter { $0.value.peer == peer }.map(\.key)
    for id in known { client(id)?.send(.again(introduction: id.introduction)) }
    if known.isEmpty { seek() }
  }

  /// What the relay lets us do.
  func report(_ message: RelayAccessMessage, from client: RendezvousClient) {
    switch message {
    case .rights(let rights):
      onEvent(
        .relayAdmits(
          client.rendezvous, until: rights.expiry, bytesPerSecond: rights.bytesPerSecond))
    case .denied(_, let reason):
      onEvent(
        .relayDenies(client.rendezvous, RelayDenial(rawValue: reason) ?? .other, retryIn: nil))
    case .restarting(let restart):
      onEvent(
        .relayRestarts(client.rendezvous, stopsIn: .milliseconds(Int64(restart.stopsIn))))
    case .token: break
    }
  }

  /// As many as a session has roads through relays for.
  static let warmMax = 2
}
