internal import QuicTransport

/// Legs follow introductions: whoever may learn where the other node is may talk to it through the
/// relay as well, and nobody else.
extension RelayCore {
  /// Gives both nodes of an admitted introduction their legs, if both take relayed datagrams.
  func openLegs(_ number: UInt64) {
    guard let introduction = introductions[number], introduction.session == nil,
      let dialler = party(introduction.dialler), let sharer = party(introduction.sharer)
    else { return }
    let nodes = [introduction.dialler, introduction.sharer]
    do throws(RelayRefusal) {
      let session = try desk.open(
        between: dialler, and: sharer, payer: payer(of: introduction.sharer))
      introductions[number]?.session = session.number
      forwarded[session.number] = number
      for (node, leg) in zip(nodes, session.legs) {
        let key = leg.key.withBytes { Array($0) }
        let grant = LegGrant(session: session.number, generation: leg.generation, key: key)
        node.send(.forwarding(.leg(introduction: number, grant)))
      }
    } catch {
      totals.refusals[.forwarding(error), default: 0] += 1
      for node in nodes {
        node.send(.forwarding(.refused(introduction: number, reason: error.rawValue)))
      }
    }
  }

  /// The introduction is over.
  func closeLegs(_ introduction: Introduction) {
    guard let session = introduction.session else { return }
    forwarded[session] = nil
    desk.close(session)
  }

  /// Who is registered pays for its visitors too.
  private func payer(of sharer: RelayPeer) -> ForwardingDesk.Payer? {
    guard case .token(let token)? = sharer.admission?.holder,
      let rate = sharer.admission?.scope.bytesPerSecond
    else { return nil }
    return ForwardingDesk.Payer(token: token, bytesPerSecond: rate)
  }

  private func party(_ peer: RelayPeer) -> ForwardingDesk.Party? {
    guard let identity = peer.identity, peer.capabilities & RelayMessage.forwards != 0 else {
      return nil
    }
    return ForwardingDesk.Party(identity: identity, path: peer.path, address: sourceKey(peer))
  }
}

extension RelayCore: ForwardingOwner {
  func desk(
    _ desk: ForwardingDesk, throttled leg: ForwardedSession.LegID, to rate: Int
  ) {
    guard let number = forwarded[leg.session], let introduction = introductions[number] else {
      return
    }
    let node = leg.leg == 0 ? introduction.dialler : introduction.sharer
    node.send(
      .forwarding(.throttled(introduction: number, bytesPerSecond: UInt64(rate))))
  }

  func desk(_ desk: ForwardingDesk, expired session: UInt32) {
    guard let number = forwarded.removeValue(forKey: session) else { return }
    introductions[number]?.session = nil
    for node in [introductions[number]?.dialler, introductions[number]?.sharer] {
      node?.send(.forwarding(.ended(introduction: number)))
    }
  }
}
