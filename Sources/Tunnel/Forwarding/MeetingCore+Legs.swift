internal import QuicTransport

/// Legs through the relay: a session begins there while both sides punch, and has it to go back to.
extension MeetingCore {
  func take(_ message: ForwardingMessage, from client: RendezvousClient) {
    switch message {
    case .leg(let introduction, let grant): take(grant, of: introduction, from: client)
    case .ended(let introduction):
      dropLeg(of: MeetingID(client, introduction))
    case .refused(let introduction, let reason):
      guard let peer = peer(of: introduction, from: client) else { return }
      onEvent(.notRelayed(peer: peer, RelayRefusal(rawValue: reason) ?? .other))
    case .throttled(let introduction, let rate):
      guard let peer = peer(of: introduction, from: client) else { return }
      onEvent(.relayThrottles(peer: peer, bytesPerSecond: rate))
    }
  }

  private func take(
    _ grant: LegGrant, of introduction: UInt64, from client: RendezvousClient
  ) {
    let id = MeetingID(client, introduction)
    if case .dialling(let peer, let capability, _) = role, meetings[id] == nil, makeRoom() {
      meetings[id] = Meeting(peer: peer, capability: capability, began: loop.now)
    }
    // One that nobody was admitted for has no business here.
    guard let meeting = meetings[id], meeting.leg == nil, let road = client.road,
      let relay = client.address,
      let leg = legs?.add(grant, road: road, relay: relay)
    else { return }
    meetings[id]?.leg = leg
    // The relay itself may be what is silent; by itself the connection would notice within 15 s.
    leg.onSilence = { [weak client] in client?.lookAgain() }
    useless.remove(ObjectIdentifier(client))
    guard case .dialling = role else { return }
    onPath?(leg.path, meeting.peer)
  }

  /// Whom an introduction is with.
  private func peer(of introduction: UInt64, from client: RendezvousClient) -> PublicKey? {
    if case .dialling(let peer, _, _) = role { return peer }
    return meetings[MeetingID(client, introduction)]?.peer
  }

  func dropLeg(of id: MeetingID) {
    guard let leg = meetings[id]?.leg else { return }
    meetings[id]?.leg = nil
    legs?.remove(leg)
  }

  func rendezvous(
    _ client: RendezvousClient, movedFrom old: NetworkPath, to road: NetworkPath
  ) {
    legs?.move(from: old, to: road)
  }

  /// Asks for another round of punching with a peer that is reached through a relay.
  func askForRounds(with peer: PublicKey) {
    for (id, meeting) in meetings where meeting.peer == peer && meeting.leg != nil {
      client(id)?.send(.again(introduction: id.introduction))
    }
  }
}
