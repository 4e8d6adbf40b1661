public import HolePunch
public import QuicTransport

/// What happens between a node, its rendezvous and the peers that it is introduced to.
public enum MeetingEvent: Sendable {
  /// A rendezvous answers; where it sees us, if we came over UDP.
  case rendezvousReady(RendezvousAddress, observed: SocketAddress?)
  /// A rendezvous is gone or does not answer; it is tried again.
  case rendezvousLost(RendezvousAddress, reason: QuicError?, retryIn: Duration)
  /// A rendezvous takes our token: until when (seconds since 1970, 0 for ever), and how fast it
  /// relays for all who use the token (0 where it has no bound of its own).
  case relayAdmits(RendezvousAddress, until: UInt64, bytesPerSecond: UInt64)
  /// A rendezvous does not serve us, or not all of what we ask for; when it is asked again.
  case relayDenies(RendezvousAddress, RelayDenial, retryIn: Duration?)
  /// A rendezvous is about to stop, and is likely to come back; direct sessions go on.
  case relayRestarts(RendezvousAddress, stopsIn: Duration)
  /// The relays that the session may go by, the one that it goes by first; told when they are others,
  /// with what they were chosen by.
  case relaysRanked([RelayReport])
  /// We look for peers more often than a rendezvous lets us; when it is asked again.
  case searchThrottled(RendezvousAddress, retryIn: Duration)
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
