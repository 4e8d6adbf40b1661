internal import QuicTransport

/// What nodes say of their targets.
extension PublicListeners {
  /// A node's word holds until its next one, or until it listens anew.
  func note(isUp: Bool, listener number: UInt64, of peer: RelayPeer) {
    // A listener that was refused or taken away: the words crossed.
    guard let (member, place) = nodes[ObjectIdentifier(peer)]?[number], member.isDown == isUp,
      let identity = peer.identity
    else { return }
    member.isDown = !isUp
    onEvent(
      .memberHealth(
        identity, place.place.description, isUp: isUp,
        able: place.members.count { !$0.isDown }, of: place.members.count))
  }
}
