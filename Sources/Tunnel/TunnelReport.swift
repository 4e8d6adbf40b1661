public import QuicTransport

/// A share or link as it is right now, for people and programs.
public struct TunnelReport: Sendable {
  /// The sums since it began.
  public var totals: TunnelTotals
  /// Open sessions, the oldest first; `sessionsMax` at most, however many there are.
  public var sessions: [SessionReport]
  /// Where relays listen publicly for the share.
  public var publicAddresses: [PublicAddress] = []
  /// The targets that are checked.
  public var health: [HealthReport] = []
  /// The relays that it knows, the one that carries the session first.
  public var relays: [RelayReport] = []
  /// What the link is waiting for, while it has no session.
  public var isDialling: Bool

  /// A report is bounded, and so is the time that it takes to make.
  static let sessionsMax = 64
}

/// One session of a `TunnelReport`.
public struct SessionReport: Sendable {
  /// Who is at the other end.
  public var peer: PublicKey?
  /// How its packets travel now.
  public var path: SessionPath
  /// Why they do not travel on a better kind of carrier; nil when they do.
  public var obstacle: PathObstacle?
  /// How long it has been open.
  public var age: Duration
  /// The smoothed round-trip time.
  public var rtt: Duration
  /// Packets that were sent, and those of them that were declared lost.
  public var packetsSent: UInt64
  /// Packets with stream data that were declared lost.
  public var packetsLost: UInt64
  /// Bytes of packets by carrier.
  public var carriers: [CarrierKind: CarrierBytes]
  /// How often it moved to another path.
  public var switches: Int
  /// How long ago the peer last acknowledged data: everything sent before that has arrived.
  public var lastProven: Duration?
  /// For how long nothing has been heard although an answer is due; nil while all is well.
  public var silence: Duration?
  /// How many flows are open.
  public var flowsOpen: Int
  /// The oldest of them, `flowsMax` at most.
  public var flows: [FlowStatus]

  static let flowsMax = 64
}

/// Bytes of packets, both ways.
public struct CarrierBytes: Equatable, Sendable {
  /// UDP payload bytes, or what would be.
  public var sent: UInt64 = 0
  /// The same in the other direction.
  public var received: UInt64 = 0

  /// None.
  public init() {}
}

/// One open flow of a `SessionReport`.
public struct FlowStatus: Equatable, Sendable {
  /// The number of its stream within the session.
  public var number: Int64
  /// The service it belongs to; nil before it said so.
  public var service: String?
  /// How long it has been open.
  public var age: Duration
  /// Bytes of the local program that went to the peer.
  public var bytesSent: UInt64
  /// Bytes from the peer that the local program took.
  public var bytesReceived: UInt64
}

/// Why a session is not on a better kind of carrier.
public enum PathObstacle: Equatable, Sendable {
  /// Nothing better has answered.
  case noAnswer
  /// Something better failed while in use and rests for this long.
  case resting(Duration)
  /// Something better answers and has to do so for a moment longer.
  case proving
}
