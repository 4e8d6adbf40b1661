internal import QuicTransport

/// Told what a path manager decides. Called on the loop.
protocol PathManagerOwner: AnyObject {
  /// The path in use is in doubt, or a better kind may be back: the owner opens other carriers and
  /// adds them (client only).
  func pathManagerWantsAlternatives(_ manager: PathManager)
  /// The path in use was in doubt, and answers again (client only): what was opened of its kind beside
  /// it is not needed.
  func pathManagerIsSure(_ manager: PathManager)
  /// The session moved.
  func pathManager(_ manager: PathManager, movedTo path: PathState, because reason: SwitchReason)
  /// Nothing is heard on any path for so long; told once for each outage.
  func pathManager(_ manager: PathManager, silentFor time: Duration)
  /// The peer is heard of again, after so long. Only if it was told to be silent.
  func pathManager(_ manager: PathManager, returnedAfter time: Duration)
}

/// Why a session moved to another path.
public enum SwitchReason: Equatable, Sendable {
  /// Nothing was heard on the old path.
  case silence
  /// The old path passed probes but lost data.
  case dataLoss
  /// The old path's carrier closed.
  case carrierClosed
  /// The new path is of a better kind and has proved itself.
  case better
  /// The new path leads through a relay by which the way to the peer and back is so much shorter.
  case nearer(from: Duration, to: Duration)
  /// The relay of the old path is about to stop.
  case relayRestarts
  /// The peer moved, or its address changed.
  case peerMoved
  /// It was to move, for a test.
  case requested
}

/// Decides which road a session's packets take, and moves it from one to another while it lives.
///
/// Sans-I/O: datagrams, the clock and the loop's timer come in, path messages and packets leave
/// through the endpoint. It sits below QUIC and needs no help of ngtcp2 but a migration to a new
/// label on each switch. What it does on which occasion is in the extensions: `Clock` looks at the
/// time, `Watch` asks and judges the answers, `Moves` leaves and chooses paths, `Outage` waits where
/// there is none.
///
///     path:     unproven --probe answered--> validated --silence, data loss--> shunned --time--> validated
///     client:   in use, sure --nothing heard for a while--> in doubt --heard--> sure
///                                                             '--600 or 900 ms, and another
///                                                                path is validated--> switch
///     both:     heard --nothing for 1 s, though an answer is due--> outage --heard--> heard
///     server:   follows the client's select, once the path is validated
final class PathManager: PathRouter {
  let keys: PathKeys
  let isServer: Bool
  weak var owner: (any PathManagerOwner)?
  var paths: [PathState]
  /// The path that packets leave on.
  var active = 0
  var switches = 0
  /// How often an idle path is asked whether the other side is there (client). Whoever waits for others
  /// to come by the peer wants to know sooner that it is gone.
  var idleProbeInterval = PathManager.idleProbeInterval { didSet { askSoon() } }
  /// Moves to another road this often, for tests (client).
  var cycleInterval: Duration? { didSet { lookSoon() } }

  let connection: ConnectionCore
  let endpoint: EndpointCore
  let loop: any EventLoop
  /// What QUIC knows the path as.
  var label: NetworkPath
  var generation: UInt64 = 0
  private var nextMessage: UInt64 = 1
  /// The client's select that was not answered yet.
  var pendingSelect: (generation: UInt64, next: Instant)?
  /// The server's: a select for a path that is not validated yet.
  private var requestedSelect: (generation: UInt64, path: UInt64)?
  var needsMigration = false
  /// Since when the path in use has been silent for too long (client).
  var doubtSince: Instant?
  /// QUIC is suspended and probes alone look for the peer.
  var outage: Outage?
  var askedForAlternatives: Instant?
  /// Of several relays (client).
  var nearer = NearerRoad()
  private var seen = NumbersSeen()
  private var messages: TokenBucket
  private var lastChallenge: Instant?
  /// Where a packet that is being read came from, if the peer may have become that.
  var stranger: NetworkPath?
  /// The peer's new port, until it has proved itself.
  var trial: Trial?
  /// When another one may begin.
  var nextTrial = Instant(nanoseconds: 0)
  private(set) var timer: LoopTimer?

  /// Takes a session over that is open on one path.
  init(
    connection: ConnectionCore, path: NetworkPath, kind: CarrierKind, keys: PathKeys,
    endpoint: EndpointCore, loop: any EventLoop
  ) {
    self.connection = connection
    self.endpoint = endpoint
    self.loop = loop
    self.keys = keys
    isServer = connection.isServer
    messages = TokenBucket(rate: Self.messagesPerSecond, burst: Self.messagesBurst, now: loop.now)
    label = connection.currentPath
    var first = PathState(number: 0, path: path, kind: kind, now: loop.now)
    // The handshake went both ways on it.
    first.isValidated = true
    first.add(roundTrip: connection.statistics.smoothedRTT)
    first.nextProbe = loop.now + Self.idleProbeInterval
    first.usedSince = loop.now
    paths = [first]
    connection.router = self
    let timer = LoopTimer { [weak self] now in self?.handleTimeout(now: now) }
    self.timer = timer
    schedule(now: loop.now)
  }

  /// Stops; the connection is over.
  func stop() {
    if let timer { loop.cancel(timer) }
    timer = nil
    connection.router = nil
  }

  var activePath: PathState { paths[active] }

  /// Whether the path in use has been silent for too long (client only).
  var isInDoubt: Bool { doubtSince != nil }

  /// Adds a road (client): a carrier that was opened, or a UDP address. It is probed at once.
  func add(_ path: NetworkPath, kind: CarrierKind) {
    guard !paths.contains(where: { $0.path == path }), paths.count < Self.pathsMax else { return }
    let number = (paths.map(\.number).max() ?? 0) + 1
    paths.append(PathState(number: number, path: path, kind: kind, now: loop.now))
    lookSoon()
  }

  /// A carrier closed: its path is gone. This may happen while something is being sent on it, so the
  /// path is taken out with the next tick, which follows at once.
  func remove(_ path: NetworkPath) {
    guard let index = paths.firstIndex(where: { $0.path == path }) else { return }
    paths[index].isGone = true
    paths[index].isValidated = false
    if index == active { askedForAlternatives = nil }
    lookSoon()
  }

  func drop(_ index: Int) {
    paths.remove(at: index)
    if index < active { active -= 1 }
  }

  private func askSoon() {
    paths[active].nextProbe = min(paths[active].nextProbe, loop.now + idleProbeInterval)
    lookSoon()
  }

  // MARK: PathRouter

  func label(for path: NetworkPath) -> NetworkPath? {
    stranger = nil
    if let index = paths.firstIndex(where: { $0.path == path }) {
      if index != active, !paths[index].isValidated, isNeighbourOfActive(path) { stranger = path }
      heard(index, now: loop.now, isData: true)
      return label
    }
    // QUIC finds out whether the peer wrote it.
    stranger = path
    return label
  }

  func send(_ batch: DatagramBatch) -> SendResult {
    let count = batch.bytes.count
    paths[active].noteSent(count, now: loop.now, isData: true)
    wakeIfOwed(now: loop.now)
    var batch = batch
    batch.path = isOverdrawn(count) ? trial?.former ?? paths[active].path : paths[active].path
    return endpoint.send(batch)
  }

  var road: NetworkPath { paths[active].path }

  var isBlocked: Bool { endpoint.isBlocked(paths[active].path) }

  // MARK: Messages

  /// Takes a datagram that claims to belong to this session.
  func receive(_ datagram: ReceivedDatagram, now: Instant) {
    guard let message = PathMessage(datagram.bytes, key: keys.receiving) else { return }
    // A copy, from whoever has seen the packet, draws no answer to wherever it comes from. Answers are
    // told from copies by the questions that are open.
    switch message.type {
    case .probe, .select, .complaint:
      // They come ahead of everybody's packets of QUIC, and are answered at once.
      guard seen.accept(message.number), messages.take(now: now) else { return }
    case .probeAnswer, .selectAnswer: break
    }
    switch message.type {
    case .probe: answerProbe(message, size: datagram.bytes.count, from: datagram.path, now: now)
    case .probeAnswer: takeAnswer(message, from: datagram.path, now: now)
    case .select where isServer: takeSelect(message, from: datagram.path, now: now)
    case .selectAnswer where !isServer:
      if pendingSelect?.generation == message.argument { pendingSelect = nil }
    case .complaint where !isServer:
      if message.argument == paths[active].number { giveWay(now: now) }
    case .select, .selectAnswer, .complaint: break
    }
  }

  private func answerProbe(
    _ message: PathMessage, size: Int, from path: NetworkPath, now: Instant
  ) {
    reply(.probeAnswer, to: message, on: path)
    peerProbed(from: path, byteCount: size, now: now)
    guard let index = index(of: message.argument, at: path, size: size, now: now) else { return }
    heard(index, now: now, isData: false)
  }

  private func heard(_ index: Int, now: Instant, isData: Bool) {
    paths[index].noteHeard(now: now, isData: isData)
    guard index == active else { return }
    endOutage(now: now)
    if isData { postponeProbe(now: now) }
  }

  /// What is heard shows that an idle path is there, as an answer would: with a keep-alive of QUIC
  /// every 15 s nothing else is asked. NATs keep a binding for 30 s at least, the worst of them.
  private func postponeProbe(now: Instant) {
    guard outage == nil, trial == nil, doubtSince == nil, activePath.isValidated, !hasRivals,
      !activePath.isBusy(now: now)
    else { return }
    paths[active].nextProbe = max(paths[active].nextProbe, now + idleProbeInterval * 3 / 2)
  }

  /// The path with this number at this address, from which `size` bytes came. On a server, one that is
  /// new, or whose address has changed, which is validated before anything but answers is sent there.
  private func index(of number: UInt64, at path: NetworkPath, size: Int, now: Instant) -> Int? {
    if let index = paths.firstIndex(where: { $0.path == path }) {
      if isServer, !paths[index].isValidated { grant(size, to: index, now: now) }
      return index
    }
    guard isServer else { return nil }
    if let index = paths.firstIndex(where: { $0.number == number && $0.number != activePath.number }
    ) {
      drop(index)
    }
    if paths.count >= Self.pathsMax {
      guard let oldest = paths.indices.filter({ $0 != active }).min(by: isOlder) else { return nil }
      drop(oldest)
    }
    var state = PathState(number: number, path: path, kind: CarrierKind(path), now: now)
    state.probeSizeMax = size
    paths.append(state)
    grant(size, to: paths.count - 1, now: now)
    probe(paths.count - 1, now: now)
    return paths.count - 1
  }

  /// RFC 9000 §8.1: three times what came from there, which may be somebody else's address. An answer to
  /// it is taken off, whether or not there was one.
  private func grant(_ size: Int, to index: Int, now: Instant) {
    paths[index].allowance += Self.allowedTimes * size - PathMessage.byteCount
    paths[index].nextProbe = min(paths[index].nextProbe, now + Self.unprovenInterval)
    if let timer, timer.deadline > paths[index].nextProbe {
      loop.schedule(timer, at: paths[index].nextProbe)
    }
  }

  /// Something new of the peer came from a path that has not proved itself (server).
  func grant(_ size: Int, on path: NetworkPath) {
    guard isServer, let index = paths.firstIndex(where: { $0.path == path }), index != active,
      !paths[index].isValidated
    else { return }
    grant(size, to: index, now: loop.now)
  }

  private func isOlder(_ left: Int, _ right: Int) -> Bool {
    (paths[left].lastHeard?.nanoseconds ?? 0) < (paths[right].lastHeard?.nanoseconds ?? 0)
  }

  private func takeAnswer(_ message: PathMessage, from path: NetworkPath, now: Instant) {
    // The address that the answer comes from must be the one that was asked.
    guard let index = paths.firstIndex(where: { $0.path == path }),
      let roundTrip = paths[index].probes.noteAnswer(message.number, now: now)
    else { return }
    paths[index].isValidated = true
    paths[index].add(roundTrip: roundTrip)
    paths[index].answersInRow += 1
    if index == active { endTrial() }
    if index != active, paths[index].answersInRow == 1 {
      paths[index].nextProbe = now + Self.unprovenInterval
    }
    heard(index, now: now, isData: false)
    if isServer {
      followIfValidated(index, now: now)
    } else {
      consider(now: now)
      // Deciding may have moved it.
      if let index = paths.firstIndex(where: { $0.path == path }) {
        considerNearer(index, now: now)
      }
    }
  }

  // MARK: Following (server)

  private func takeSelect(_ message: PathMessage, from path: NetworkPath, now: Instant) {
    guard message.argument >= generation,
      let index = paths.firstIndex(where: { $0.path == path })
    else { return }
    heard(index, now: now, isData: false)
    grant(PathMessage.byteCount, on: path)
    guard message.argument > generation else {
      return reply(.selectAnswer, to: message, on: path)
    }
    requestedSelect = (message.argument, paths[index].number)
    if paths[index].isValidated { reply(.selectAnswer, to: message, on: path) }
    followIfValidated(index, now: now)
  }

  private func followIfValidated(_ index: Int, now: Instant) {
    guard paths[index].isValidated else { return }
    if let request = requestedSelect, request.path == paths[index].number {
      requestedSelect = nil
      generation = request.generation
      label = PathLabel.generation(generation, isServer: true)
      paths[index].probes.clear()
      if index != active { activate(index, because: .peerMoved) }
    } else if index != active, paths[index].number == paths[active].number {
      // The same road of the client under a new address: a NAT gave it another one.
      paths[active].isGone = true
      activate(index, because: .peerMoved)
      lookSoon()
    }
  }

  /// A new QUIC packet of the peer came from an address that we do not know: asks it to prove
  /// itself, at most ten times a second.
  func challenge(_ path: NetworkPath, byteCount: Int) {
    let now = loop.now
    guard isServer, (now - (lastChallenge ?? Instant(nanoseconds: 0))) >= Self.challengeInterval
    else { return }
    lastChallenge = now
    let isKnown = paths.contains { $0.path == path }
    // One that is new is asked at once.
    if let index = index(of: activePath.number, at: path, size: byteCount, now: now), isKnown {
      probe(index, now: now)
    }
  }

  // MARK: Sending

  @discardableResult
  func send(
    _ type: PathMessage.MessageType, argument: UInt64, on index: Int,
    size: Int = PathMessage.byteCount, now: Instant
  ) -> UInt64 {
    let message = PathMessage(
      type: type, session: keys.session, number: nextMessage, argument: argument)
    nextMessage += 1
    paths[index].noteSent(size, now: now, isData: false)
    wake(now: now)
    transmit(message, size: size, on: paths[index].path)
    return message.number
  }

  private func reply(_ type: PathMessage.MessageType, to message: PathMessage, on path: NetworkPath)
  {
    transmit(
      PathMessage(
        type: type, session: keys.session, number: message.number, argument: message.argument),
      on: path)
  }

  private func transmit(
    _ message: PathMessage, size: Int = PathMessage.byteCount, on path: NetworkPath
  ) {
    guard !endpoint.isBlocked(path) else { return }
    message.encoded(key: keys.sending, size: size).withUnsafeBytes { bytes in
      _ = endpoint.send(
        DatagramBatch(bytes: bytes, segmentSize: bytes.count, path: path, ecn: .notCapable))
    }
  }
}

// MARK: - Constants

extension PathManager {
  /// How often the clock is looked at while something is going on; every decision below is coarser.
  static let tickInterval = Duration.milliseconds(50)
  /// A path in use proves itself by its traffic; probes keep an idle one's NAT binding.
  static let idleProbeInterval = Duration.seconds(15)
  /// Messages of the peer; one in doubt sends some dozens a second on all of its paths.
  private static let messagesPerSecond = 200.0
  private static let messagesBurst = 400.0
  static let alternativeInterval = Duration.seconds(5)
  static let unprovenInterval = Duration.milliseconds(200)
  static let doubtProbeInterval = Duration.milliseconds(100)
  /// Silence for this long, or three round trips, is suspicious: an acknowledgement takes one, and
  /// 25 ms at most (RFC 9000 §13.2.1).
  static let doubtAfter = Duration.milliseconds(300)
  /// And for this long is an answer.
  static let doubtMax = Duration.milliseconds(900)
  /// The same where another path answers meanwhile: three probes are lost here that pass there.
  static let doubtMaxBeside = Duration.milliseconds(600)
  static let dataLossAfter = Duration.seconds(2)
  /// Data that passed this lately makes a path busy; a busy one is probed this often.
  static let busyFor = Duration.seconds(2)
  static let busyProbeInterval = Duration.seconds(1)
  /// Probes of full size, one behind the other; at 20 % of random loss, all of them are lost once in
  /// three thousand times.
  static let probesMissedMax = 5
  /// What every path of QUIC must carry (RFC 9000 §14).
  static let packetSizeMin = 1_200
  /// A select is repeated until it is answered.
  static let selectInterval = Duration.milliseconds(100)
  static let alternativesInterval = Duration.seconds(3)
  /// Without any path there is nothing to wait for.
  static let rescueInterval = Duration.milliseconds(300)
  static let challengeInterval = Duration.milliseconds(100)
  static let answersToReturn = 2
  static let pathsMax = 8
}

extension PathState {
  /// Heard of lately enough to trust it with a session.
  func isFresh(now: Instant) -> Bool {
    guard let lastHeard else { return false }
    return now - lastHeard < .seconds(12)
  }
}
