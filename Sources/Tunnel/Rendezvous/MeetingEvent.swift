public import HolePunch
public import QuicTransport

/// What happens between a node, its rendezvous and the peers that it is introduced to.
public enum MeetingEvent: Sendable {
  /// A rendezvous answers; where it sees us, if we came over UDP.
  case rendezvousReady(RendezvousAddress, observed: SocketAddress?)
  /// A rendezvous is gone or does not answer; it is tried again.
  case rendezvousLost(RendezvousAddress, reason: QuicError?, retryIn: Duration)
  /// Another process with our identity pushed us out.
  case replaced(RendezvousAddress)
  /// Nobody with the ticket's identity is at the rendezvous; we wait for him.
  case peerAbsent(PublicKey)
  /// A path is being looked for.
  case punching(peer: PublicKey, mode: PunchMode)
  /// A direct path stands.
  case punched(peer: PublicKey, path: PunchedPath, mode: PunchMode)
  /// The relay moves nothing between us and the peer, and why.
  case notRelayed(peer: PublicKey, RelayRefusal)
  /// We send more through the relay than it takes from us; the rest is lost.
  case relayThrottles(peer: PublicKey, bytesPerSecond: UInt64)
  /// The gateway forwards a port to us; peers are told.
  case portMapped(PortMapper.Mapping)
  /// It does so no more.
  case portLost
  /// A search or a prediction has to do with fewer sockets than it is good with.
  case fewSockets(peer: PublicKey, opened: Int, wanted: Int)
  /// There is none for now; another round follows in time.
  case notDirect(peer: PublicKey, PunchFailure)
}
