internal import QuicTransport

/// What a path manager knows about one path of its session.
struct PathState {
  /// The client's number for it; a server learns it from the first probe.
  let number: UInt64
  var path: NetworkPath
  let kind: CarrierKind
  /// The peer answered a probe of ours here, so it really is at the other end.
  var isValidated = false
  /// Its carrier closed; it is dropped as soon as the session has another path.
  var isGone = false
  /// What carries it is about to go, as it says itself.
  var isRetiring = false
  var lastHeard: Instant?
  /// Since when we have been sending here without hearing anything; nil while there is no doubt.
  var unansweredSince: Instant?
  /// The same for QUIC packets alone: a path may pass probes and lose everything larger.
  var unansweredDataSince: Instant?
  /// When a QUIC packet passed last, either way.
  private(set) var lastData: Instant?
  /// QUIC packets that passed with no longer pauses between them than a busy path has.
  private var packetsInRow = 0
  /// The probes that are on their way.
  var probes = ProbeLog()
  var nextProbe: Instant
  /// Bytes that may be sent here at a time before it is validated: no more than came from there at first.
  var probeSizeMax = Int.max
  /// Bytes that a server may still send here before it is validated.
  var allowance = 0
  /// Until when the path is not to be chosen, because it failed while in use.
  private(set) var shunnedUntil: Instant?
  private var failures = 0
  /// Since when the session has been on this path.
  var usedSince: Instant?
  /// Probes answered since one was not; a path has to pass two before a session returns to it.
  var answersInRow = 0
  private(set) var roundTrip = RoundTripEstimate()
  private(set) var recent = RecentRoundTrips()
  var bytesSent: UInt64 = 0
  var bytesReceived: UInt64 = 0

  init(number: UInt64, path: NetworkPath, kind: CarrierKind, now: Instant) {
    self.number = number
    self.path = path
    self.kind = kind
    nextProbe = now
  }

  /// The path failed in use: it rests, and longer each time, so that nothing flaps. A path that
  /// served for long starts over.
  mutating func shun(now: Instant) {
    if let usedSince, now - usedSince >= Self.goodService { failures = 0 }
    failures = min(failures + 1, Self.failuresMax)
    shunnedUntil = now + Self.shunBase * (1 << (failures - 1))
    answersInRow = 0
  }

  /// The answer to a probe took so long.
  mutating func add(roundTrip sample: Duration) {
    roundTrip.add(sample)
    recent.add(sample)
  }

  /// Data moves here, or has just ceased to. A keep-alive and its answer are no data: a relay has
  /// thousands of nodes that say nothing else. A session that goes through a relay is watched after a
  /// single packet: when the relay dies, the side that has nothing to say would hear of it last.
  func isBusy(now: Instant) -> Bool {
    packetsInRow > (kind == .relay ? 0 : Self.keepAlivePackets) && isRecent(now: now)
  }

  private func isRecent(now: Instant) -> Bool {
    lastData.map { now - $0 < PathManager.busyFor } ?? false
  }

  func isShunned(now: Instant) -> Bool { shunnedUntil.map { $0 > now } ?? false }

  private static let shunBase = Duration.seconds(5)
  private static let goodService = Duration.seconds(300)
  /// Five minutes.
  private static let failuresMax = 7

  mutating func noteHeard(now: Instant, isData: Bool) {
    lastHeard = now
    unansweredSince = nil
    guard isData else { return }
    unansweredDataSince = nil
    noteData(packets: 1, now: now)
  }

  mutating func noteSent(_ count: Int, now: Instant, isData: Bool) {
    bytesSent += UInt64(count)
    if unansweredSince == nil { unansweredSince = now }
    guard isData else { return }
    if unansweredDataSince == nil { unansweredDataSince = now }
    noteData(packets: count > Self.keepAliveSizeMax ? Self.keepAlivePackets + 1 : 1, now: now)
  }

  private mutating func noteData(packets: Int, now: Instant) {
    packetsInRow = min((isRecent(now: now) ? packetsInRow : 0) + packets, Self.keepAlivePackets + 1)
    lastData = now
  }

  /// PING and its acknowledgement, with which ngtcp2 may send a PING of its own, so that it hears what
  /// has arrived of its acknowledgements; and the answer to that.
  private static let keepAlivePackets = 3
  /// A packet of either has some 40 bytes.
  private static let keepAliveSizeMax = 64
}

/// The round trip of a path, as RFC 6298 §2 smooths it.
struct RoundTripEstimate {
  private(set) var smoothed: Duration?
  private(set) var variation = Duration.zero

  mutating func add(_ sample: Duration) {
    guard let previous = smoothed else {
      smoothed = sample
      variation = sample / 2
      return
    }
    let difference = sample > previous ? sample - previous : previous - sample
    variation = (variation * 3 + difference) / 4
    smoothed = (previous * 7 + sample) / 8
  }
}
