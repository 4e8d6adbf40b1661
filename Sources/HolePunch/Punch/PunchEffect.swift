public import QuicTransport

/// What a `PunchMachine` wants done. Drain with `nextEffect` after every call.
public enum PunchEffect: Equatable, Sendable {
  /// Send it now.
  case send(PunchDatagram)
  /// Open as many more UDP sockets on ports of the system's choice, or as many as can be had, and
  /// tell their numbers with `socketsOpened`.
  case openSockets(count: Int)
  /// These are not needed any more.
  case closeSockets([Int])
  /// Packets pass on this path in both directions.
  case validated(PunchedPath)
  /// Both sides use this path from now on.
  case succeeded(PunchedPath)
  /// This round ends, or will probably end, without a path. Nothing is given up: `roundWanted`
  /// follows in time.
  case notDirect(PunchFailure)
  /// The port of the socket in use seems to be spoilt: open a new one, find out its reflexive
  /// address, and ask for a new round with it.
  case freshPortWanted
  /// Ask the rendezvous, or the peer over the relay, for another plan.
  case roundWanted
}

/// A datagram to send.
public struct PunchDatagram: Equatable, Sendable {
  /// The payload.
  public var bytes: [UInt8]
  /// The number of the socket to send it from.
  public var socket: Int
  /// Where to.
  public var destination: SocketAddress
  /// IP_TTL or IPV6_UNICAST_HOPS for this datagram; nil for the system's.
  public var hopLimit: UInt8?
}

/// A path that works.
public struct PunchedPath: Equatable, Sendable {
  /// The number of our socket.
  public var socket: Int
  /// Where the peer is.
  public var remote: SocketAddress
  /// What the peer's address was known as.
  public var kind: Candidate.Kind
  /// How the peer sees us.
  public var observed: SocketAddress
  /// Of one probe.
  public var roundTrip: Duration
}

/// Why two peers do not talk directly; for people as much as for programs.
public enum PunchFailure: Equatable, Sendable {
  /// Both NATs give out ports that cannot be guessed.
  case bothNATsUnpredictable
  /// UDP does not pass at one of the two.
  case udpBlocked
  /// The peer has no address that may be probed.
  case noCandidates
  /// A birthday search was made not long ago and is not repeated yet.
  case searchRests
  /// Probes were sent and no path was found.
  case noAnswer(mode: PunchMode, probes: Int)
}
