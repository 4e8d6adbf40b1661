/// What a connection may use and how it behaves. Both sides have their own.
public struct TransportSettings: Sendable {
  /// The connection ends when nothing arrived for this long; the smaller of both sides' counts
  /// (RFC 9000 §10.1). Zero never ends it.
  public var idleTimeout = Duration.seconds(30)
  /// A handshake that takes longer fails. ngtcp2's own default is never.
  public var handshakeTimeout = Duration.seconds(10)
  /// A PING is sent after this long without one, nil for none. NAT bindings for UDP may last only
  /// 30 s.
  public var keepAliveInterval: Duration?
  /// How fast to send.
  public var congestionControl = CongestionControl.cubic
  /// Streams that the peer may have open at once.
  public var bidirectionalStreamsMax = 16_384
  /// The same for streams that only the peer writes to.
  public var unidirectionalStreamsMax = 1_024
  /// Streams that the peer may have back each second after they were broken off before this side said
  /// anything on them. Programs that probe ports or lose patience stay far below it; it costs a
  /// peer that floods its speed, and nobody else theirs.
  public var brokenStreamsPerSecond = 1_000
  /// Bytes that the peer may send on a stream before we consumed any; grows with the rate that the
  /// consumer keeps up.
  public var streamWindowInitial = 512 * 1024
  /// What a stream's window may grow to, in bytes.
  public var streamWindowMax = 8 * 1024 * 1024
  /// The same for all streams together.
  public var connectionWindowInitial = 4 * 1024 * 1024
  /// What the connection's window may grow to, in bytes.
  public var connectionWindowMax = 32 * 1024 * 1024
  /// Unconsumed bytes of slow streams that do not count against the connection's window, so that
  /// a stopped consumer does not stop the others.
  public var stalledBytesMax = 32 * 1024 * 1024
  /// Unsent bytes that a stream takes from its writer before it reports to be full.
  public var unsentBytesMax = 256 * 1024
  /// Unsent bytes of all streams together: a peer that grants no credit makes no more wait than this.
  public var unsentBytesTotalMax = 16 * 1024 * 1024
  /// The largest DATAGRAM frame that the peer may send; 0 turns them off (RFC 9221 §3).
  public var datagramSizeMax = 65_535
  /// Bytes of datagrams that wait, to be sent and to be delivered; beyond it the oldest are dropped.
  /// What a burst of local programs brings within one tick of the loop.
  public var datagramBytesQueuedMax = 2 * 1024 * 1024
  /// How long a datagram may wait to be sent, or four round trips if that is longer: while congestion
  /// control allows nothing, a queue that only grew would make every later datagram late.
  public var datagramAgeMax = Duration.milliseconds(100)
  /// UDP payload sizes to try above 1200, ascending (RFC 8899). The steps are common MTUs less
  /// IP and UDP headers: 1280, PPPoE, Ethernet over IPv6 and IPv4, jumbo frames, and what loopback takes.
  public var pathMTUProbes: [UInt16] = [
    1_232, 1_392, 1_444, 1_452, 1_472, 8_952, 16_384, 32_768, 61_440,
  ]
  /// The RTT that is assumed before the first sample.
  public var initialRTT = Duration.milliseconds(100)
  /// Whether an acknowledgement leaves in the tick that asks for one. Else it waits for a second packet,
  /// for an eighth of the round trip or 25 ms (RFC 9000 §13.2.1), which is one more wake-up of the
  /// process for each lone packet. What arrives in one tick is acknowledged together either way.
  public var acknowledgesAtOnce = false
  /// Whether packets are marked ECT(0) and marks are reported (RFC 9000 §13.4).
  public var usesECN = true
  /// Where this server would rather be talked to; it needs a socket there. Clients that care move to
  /// it once they have found that it answers (RFC 9000 §9.6).
  public var preferredAddress: PreferredAddress?
  /// Whether a client moves to the address that its server prefers. The server then has it send a few
  /// packets to an address of the server's choice (RFC 9000 §21.5.3), so it is off without need.
  public var followsPreferredAddress = false
  /// QUIC versions in order of preference (RFC 9000, RFC 9369).
  public var versions = [QuicVersion.v1, .v2]
  /// The version of a client's first packet (RFC 9368); the server may upgrade it.
  public var initialVersion = QuicVersion.v1

  /// The defaults, which suit a tunnel between two machines.
  public init() {}
}

/// RFC 9438, or the model-based one of the BBR drafts.
public enum CongestionControl: Sendable {
  case cubic
  case bbr
}

/// A QUIC version number.
public struct QuicVersion: Hashable, Sendable {
  /// The number as it stands in long headers.
  public let number: UInt32

  /// Any version; ngtcp2 speaks 1 and 2.
  public init(number: UInt32) {
    self.number = number
  }

  /// RFC 9000
  public static let v1 = QuicVersion(number: 1)
  /// RFC 9369
  public static let v2 = QuicVersion(number: 0x6b33_43cf)
}

/// How a connection is doing.
public struct ConnectionStatistics: Sendable {
  /// The newest RTT sample (RFC 9002 §5).
  public var latestRTT = Duration.zero
  /// The smallest sample: the path without queues.
  public var minimumRTT = Duration.zero
  /// The moving average.
  public var smoothedRTT = Duration.zero
  /// Bytes that may be in flight, and that are.
  public var congestionWindow = 0
  /// Bytes sent and neither acknowledged nor lost.
  public var bytesInFlight = 0
  /// UDP payload bytes and datagrams, both ways.
  public var bytesSent: UInt64 = 0
  /// UDP payload bytes that arrived.
  public var bytesReceived: UInt64 = 0
  /// Datagrams that left.
  public var datagramsSent: UInt64 = 0
  /// Datagrams that arrived.
  public var datagramsReceived: UInt64 = 0
  /// DATAGRAM frames (RFC 9221) that left in packets.
  public var datagramFramesSent: UInt64 = 0
  /// DATAGRAM frames that arrived.
  public var datagramFramesReceived: UInt64 = 0
  /// Of both directions, those that this side dropped from a queue.
  public var datagramFramesDropped: UInt64 = 0
  /// Packets with stream data that were declared lost.
  public var packetsLost: UInt64 = 0
  /// The largest UDP payload that is known to pass.
  public var pathMTU = 0
  /// When the peer last acknowledged bytes of a stream: what was sent before has arrived.
  public var lastAcknowledged: Instant?

  /// All zero.
  public init() {}
}
