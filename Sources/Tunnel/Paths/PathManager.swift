internal import QuicTransport

/// Told what a path manager decides. Called on the loop.
protocol PathManagerOwner: AnyObject {
  /// The path in use is in doubt, or a better kind may be back: the owner opens other carriers and
  /// adds them (client only).
  func pathManagerWantsAlternatives(_ manager: PathManager)
  /// The session moved.
  func pathManager(_ manager: PathManager, movedTo path: PathState, because reason: SwitchReason)
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
  /// The peer moved, or its address changed.
  case peerMoved
}

/// Decides which road a session's packets take, and moves it from one to another while it lives.
///
/// Sans-I/O: datagrams, the clock and the loop's timer come in, path messages and packets leave
/// through the endpoint. It sits below QUIC and needs no help of ngtcp2 but a migration to a new
/// label on each switch.
///
///     path:     unproven --probe answered--> validated --silence, data loss--> shunned --time--> validated
///     client:   in use, sure --nothing heard for a while--> in doubt --heard--> sure
///                                                             '--900 ms, and another path is
///                                                                validated--> switch
///     server:   follows the client's select, once the path is validated
final class PathManager: PathRouter {
  let keys: PathKeys
  let isServer: Bool
  weak var owner: (any PathManagerOwner)?
  private(set) var paths: [PathState]
  /// The path that packets leave on.
  private(set) var active = 0
  private(set) var switches = 0

  private let connection: ConnectionCore
  private let endpoint: EndpointCore
  private let loop: any EventLoop
  /// What QUIC knows the path as.
  private var label: NetworkPath
  private var generation: UInt64 = 0
  private var nextMessage: UInt64 = 1
  /// The client's select that was not answered yet.
  private var pendingSelect: (generation: UInt64, next: Instant)?
  /// The server's: a select for a path that is not validated yet.
  private var requestedSelect: (generation: UInt64, path: UInt64)?
  private var lastMigration: Instant?
  private var needsMigration = false
  private var doubtSince: Instant?
  private var askedForAlternatives: Instant?
  private var lastChallenge: Instant?
  private var timer: LoopTimer?

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
    label = connection.currentPath
    var first = PathState(number: 0, path: path, kind: kind, now: loop.now)
    // The handshake went both ways on it.
    first.isValidated = true
    first.nextProbe = loop.now + Self.idleProbeInterval
    paths = [first]
    connection.router = self
    let timer = LoopTimer { [weak self] now in self?.handleTimeout(now: now) }
    self.timer = timer
    loop.schedule(timer, at: loop.now + Self.tickInterval)
  }

  /// Stops; the connection is over.
  func stop() {
    if let timer { loop.cancel(timer) }
    timer = nil
    connection.router = nil
  }

  var activePath: PathState { paths[active] }

  /// Adds a road (client): a carrier that was opened, or a UDP address. It is probed at once.
  func add(_ path: NetworkPath, kind: CarrierKind) {
    guard !paths.contains(where: { $0.path == path }), paths.count < Self.pathsMax else { return }
    let number = (paths.map(\.number).max() ?? 0) + 1
    paths.append(PathState(number: number, path: path, kind: kind, now: loop.now))
    handleTimeout(now: loop.now)
  }

  /// A carrier closed: its path is gone.
  func remove(_ path: NetworkPath) {
    guard let index = paths.firstIndex(where: { $0.path == path }) else { return }
    if index == active {
      guard let other = best(excluding: index, now: loop.now) else {
        // Nothing to go to yet; what is sent meanwhile is lost, and QUIC repeats it.
        paths[index].isValidated = false
        paths[index].isGone = true
        askedForAlternatives = nil
        wantAlternatives(now: loop.now)
        return
      }
      paths[index].isGone = true
      move(to: other, because: .carrierClosed)
      return
    }
    drop(index)
  }

  private func drop(_ index: Int) {
    paths.remove(at: index)
    if index < active { active -= 1 }
  }

  // MARK: PathRouter

  func label(for path: NetworkPath) -> NetworkPath? {
    if let index = paths.firstIndex(where: { $0.path == path }) {
      paths[index].noteHeard(now: loop.now, isData: true)
      return label
    }
    challenge(path)
    return nil
  }

  func send(_ batch: DatagramBatch) -> SendResult {
    let count = batch.bytes.count
    paths[active].noteSent(count, now: loop.now, isData: true)
    var batch = batch
    batch.path = paths[active].path
    return endpoint.send(batch)
  }

  var isBlocked: Bool { endpoint.isBlocked(paths[active].path) }

  // MARK: Messages

  /// Takes a datagram that claims to belong to this session.
  func receive(_ datagram: ReceivedDatagram, now: Instant) {
    guard let message = PathMessage(datagram.bytes, key: keys.receiving) else { return }
    switch message.type {
    case .probe: answerProbe(message, from: datagram.path, now: now)
    case .probeAnswer: takeAnswer(message, from: datagram.path, now: now)
    case .select where isServer: takeSelect(message, from: datagram.path, now: now)
    case .selectAnswer where !isServer:
      if pendingSelect?.generation == message.argument { pendingSelect = nil }
    case .complaint where !isServer:
      if message.argument == paths[active].number { leaveActive(because: .dataLoss, now: now) }
    case .select, .selectAnswer, .complaint: break
    }
  }

  private func answerProbe(_ message: PathMessage, from path: NetworkPath, now: Instant) {
    reply(.probeAnswer, to: message, on: path)
    guard let index = index(of: message.argument, at: path, now: now) else { return }
    paths[index].noteHeard(now: now, isData: false)
  }

  /// The path with this number at this address. On a server, one that is new, or whose address has
  /// changed, which is validated before anything but answers is sent there.
  private func index(of number: UInt64, at path: NetworkPath, now: Instant) -> Int? {
    if let index = paths.firstIndex(where: { $0.path == path }) { return index }
    guard isServer else { return nil }
    if let index = paths.firstIndex(where: { $0.number == number && $0.number != activePath.number }
    ) {
      paths.remove(at: index)
      if index < active { active -= 1 }
    }
    if paths.count >= Self.pathsMax {
      guard let oldest = paths.indices.filter({ $0 != active }).min(by: isOlder) else { return nil }
      drop(oldest)
    }
    paths.append(
      PathState(number: number, path: path, kind: CarrierKind(path), now: now))
    probe(paths.count - 1, now: now)
    return paths.count - 1
  }

  private func isOlder(_ left: Int, _ right: Int) -> Bool {
    (paths[left].lastHeard?.nanoseconds ?? 0) < (paths[right].lastHeard?.nanoseconds ?? 0)
  }

  private func takeAnswer(_ message: PathMessage, from path: NetworkPath, now: Instant) {
    // The address that the answer comes from must be the one that was asked.
    guard
      let index = paths.firstIndex(where: {
        $0.path == path && $0.outstanding?.number == message.number
      }), let outstanding = paths[index].outstanding
    else { return }
    paths[index].outstanding = nil
    paths[index].isValidated = true
    paths[index].roundTrip.add(now - outstanding.sent)
    paths[index].answersInRow += 1
    if index != active, paths[index].answersInRow == 1 {
      paths[index].nextProbe = now + Self.unprovenInterval
    }
    paths[index].noteHeard(now: now, isData: false)
    if isServer {
      followIfValidated(index, now: now)
    } else {
      consider(now: now)
    }
  }

  // MARK: Following (server)

  private func takeSelect(_ message: PathMessage, from path: NetworkPath, now: Instant) {
    guard message.argument >= generation,
      let index = paths.firstIndex(where: { $0.path == path })
    else { return }
    paths[index].noteHeard(now: now, isData: false)
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
      activate(index, because: .peerMoved)
    } else if index != active, paths[index].number == paths[active].number {
      // The same road of the client under a new address: a NAT gave it another one.
      paths[active].isGone = true
      activate(index, because: .peerMoved)
    }
  }

  /// A QUIC packet of this session came from an address that we do not know: asks it to prove
  /// itself, at most ten times a second, with less than it sent.
  private func challenge(_ path: NetworkPath) {
    let now = loop.now
    guard isServer, (now - (lastChallenge ?? Instant(nanoseconds: 0))) >= Self.challengeInterval
    else { return }
    lastChallenge = now
    if let index = index(of: activePath.number, at: path, now: now) { probe(index, now: now) }
  }

  // MARK: Deciding (client)

  /// Returns to a better kind of path once it has proved itself.
  private func consider(now: Instant) {
    guard !isServer, let other = best(excluding: active, now: now) else { return }
    // A session on a relay has left nothing that it could be flapping to and from.
    let answers = paths[active].kind == .relay ? 1 : Self.answersToReturn
    let isProven = paths[other].answersInRow >= answers
    if (paths[other].kind < paths[active].kind && isProven) || !paths[active].isValidated {
      move(to: other, because: .better)
    } else if let since = doubtSince, now - since >= Self.doubtMax {
      leaveActive(because: .silence, now: now)
    }
  }

  /// The validated path of the best kind, then of the shortest round trip.
  private func best(excluding index: Int, now: Instant) -> Int? {
    paths.indices
      .filter { candidate in
        let path = paths[candidate]
        return candidate != index && path.isValidated && path.isFresh(now: now)
          && !path.isShunned(now: now)
      }
      .min { left, right in
        let (left, right) = (paths[left], paths[right])
        return (left.kind, left.roundTrip.smoothed ?? .zero)
          < (right.kind, right.roundTrip.smoothed ?? .zero)
      }
  }

  private func leaveActive(because reason: SwitchReason, now: Instant) {
    paths[active].shun(now: now)
    guard let other = best(excluding: active, now: now) else {
      wantAlternatives(now: now)
      return
    }
    move(to: other, because: reason)
  }

  private func move(to index: Int, because reason: SwitchReason) {
    guard !isServer else { return activate(index, because: reason) }
    generation += 1
    label = PathLabel.generation(generation, isServer: false)
    needsMigration = true
    activate(index, because: reason)
    sendSelect(now: loop.now)
    migrateIfDue(now: loop.now)
  }

  private func activate(_ index: Int, because reason: SwitchReason) {
    let old = active
    active = index
    switches += 1
    doubtSince = nil
    askedForAlternatives = nil
    paths[index].unansweredSince = nil
    paths[index].unansweredDataSince = nil
    owner?.pathManager(self, movedTo: paths[index], because: reason)
    if paths[old].isGone { drop(old) }
  }

  private func sendSelect(now: Instant) {
    pendingSelect = (generation, now + Self.selectInterval)
    send(.select, argument: generation, on: active, now: now)
  }

  /// Each migration spends one of the peer's connection IDs; it sends new ones within a round trip.
  private func migrateIfDue(now: Instant) {
    guard needsMigration else { return }
    if connection.migrate(to: label) {
      needsMigration = false
      lastMigration = now
    }
  }

  private func wantAlternatives(now: Instant) {
    guard (now - (askedForAlternatives ?? Instant(nanoseconds: 0))) >= Self.alternativesInterval
    else { return }
    askedForAlternatives = now
    owner?.pathManagerWantsAlternatives(self)
  }

  // MARK: Time

  private func handleTimeout(now: Instant) {
    forgiveSilence()
    if !isServer {
      watchActive(now: now)
      if let select = pendingSelect, select.next <= now { sendSelect(now: now) }
      migrateIfDue(now: now)
    } else {
      complain(now: now)
    }
    for index in paths.indices where paths[index].nextProbe <= now && !paths[index].isGone {
      probe(index, now: now)
    }
    if let timer { loop.schedule(timer, at: now + Self.tickInterval) }
  }

  /// Silence means nothing where no answer is due: the last packet may have been an acknowledgement.
  private func forgiveSilence() {
    guard connection.bytesInFlight == 0 else { return }
    paths[active].unansweredDataSince = nil
    if paths[active].outstanding == nil { paths[active].unansweredSince = nil }
  }

  private func watchActive(now: Instant) {
    let path = paths[active]
    let patience = max(Self.doubtAfter, (path.roundTrip.smoothed ?? .zero) * 3)
    if let since = path.unansweredSince, now - since >= patience {
      if doubtSince == nil { doubtSince = since }
      paths[active].nextProbe = min(paths[active].nextProbe, now)
      for index in paths.indices where index != active {
        paths[index].nextProbe = min(paths[index].nextProbe, now + Self.doubtProbeInterval)
      }
      wantAlternatives(now: now)
      if let doubtSince, now - doubtSince >= Self.doubtMax {
        leaveActive(because: .silence, now: now)
      }
    } else if path.unansweredSince == nil {
      doubtSince = nil
    }
    if let since = path.unansweredDataSince,
      now - since >= max(Self.dataLossAfter, (path.roundTrip.smoothed ?? .zero) * 6)
    {
      leaveActive(because: .dataLoss, now: now)
    }
    // On a lesser kind, ask now and then whether a better one has come back.
    if path.kind != .udp { wantAlternatives(now: now) }
  }

  private func complain(now: Instant) {
    guard let since = paths[active].unansweredDataSince,
      now - since >= Self.dataLossAfter,
      paths[active].lastHeard.map({ now - $0 < .seconds(1) }) ?? false
    else { return }
    paths[active].unansweredDataSince = now
    send(.complaint, argument: paths[active].number, on: active, now: now)
  }

  private func probe(_ index: Int, now: Instant) {
    if paths[index].outstanding != nil { paths[index].answersInRow = 0 }
    let number = send(.probe, argument: paths[index].number, on: index, now: now)
    paths[index].outstanding = (number, now)
    paths[index].nextProbe = now + probeInterval(index)
  }

  private func probeInterval(_ index: Int) -> Duration {
    if index == active {
      return doubtSince == nil ? Self.idleProbeInterval : Self.doubtProbeInterval
    }
    if isServer { return paths[index].isValidated ? Self.idleProbeInterval : Self.unprovenInterval }
    return doubtSince == nil ? Self.alternativeInterval : Self.doubtProbeInterval
  }

  @discardableResult
  private func send(
    _ type: PathMessage.MessageType, argument: UInt64, on index: Int, now: Instant
  ) -> UInt64 {
    let message = PathMessage(
      type: type, session: keys.session, number: nextMessage, argument: argument)
    nextMessage += 1
    paths[index].noteSent(PathMessage.byteCount, now: now, isData: false)
    transmit(message, on: paths[index].path)
    return message.number
  }

  private func reply(_ type: PathMessage.MessageType, to message: PathMessage, on path: NetworkPath)
  {
    transmit(
      PathMessage(
        type: type, session: keys.session, number: message.number, argument: message.argument),
      on: path)
  }

  private func transmit(_ message: PathMessage, on path: NetworkPath) {
    guard !endpoint.isBlocked(path) else { return }
    message.encoded(key: keys.sending).withUnsafeBytes { bytes in
      _ = endpoint.send(
        DatagramBatch(bytes: bytes, segmentSize: bytes.count, path: path, ecn: .notCapable))
    }
  }
}

// MARK: - Constants

extension PathManager {
  /// How often the clock is looked at; every decision below is coarser.
  private static let tickInterval = Duration.milliseconds(50)
  /// A path in use proves itself by its traffic; probes keep an idle one's NAT binding.
  private static let idleProbeInterval = Duration.seconds(15)
  private static let alternativeInterval = Duration.seconds(5)
  private static let unprovenInterval = Duration.milliseconds(200)
  private static let doubtProbeInterval = Duration.milliseconds(100)
  /// Silence for this long, or three round trips, is suspicious: an acknowledgement takes one, and
  /// 25 ms at most (RFC 9000 §13.2.1).
  private static let doubtAfter = Duration.milliseconds(300)
  /// And for this long is an answer.
  private static let doubtMax = Duration.milliseconds(900)
  private static let dataLossAfter = Duration.seconds(2)
  private static let selectInterval = Duration.milliseconds(100)
  private static let alternativesInterval = Duration.seconds(3)
  private static let challengeInterval = Duration.milliseconds(100)
  private static let answersToReturn = 2
  private static let pathsMax = 8
}

extension PathState {
  /// Heard of lately enough to trust it with a session.
  fileprivate func isFresh(now: Instant) -> Bool {
    guard let lastHeard else { return false }
    return now - lastHeard < .seconds(12)
  }
}
