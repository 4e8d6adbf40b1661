internal import QuicTransport

/// Told what happens to a session. Called on the loop.
protocol SessionOwner: AnyObject {
  /// Both sides proved what they must; flows may be opened.
  func sessionOpened(_ session: SessionCore)
  /// The peer opened a stream other than the control stream; at the dialling side only after it
  /// asked for a listener.
  func session(_ session: SessionCore, opened stream: StreamCore)
  /// The peer opens and takes no more flows.
  func session(_ session: SessionCore, saidGoodbye reason: String)
  /// The path in use is in doubt or not of the best kind: the owner adds others to
  /// `session.paths` (dialling side only).
  func sessionWantsAlternatives(_ session: SessionCore)
  /// The path in use was in doubt, and answers again (dialling side only).
  func sessionIsSure(_ session: SessionCore)
  /// The session moved to another path.
  func session(_ session: SessionCore, movedTo path: NetworkPath, because reason: SwitchReason)
  /// The peer is not heard of, or again.
  func session(_ session: SessionCore, silentFor time: Duration)
  func session(_ session: SessionCore, returnedAfter time: Duration)
  /// The peer lost an earlier session of its own (sharing side only).
  func session(_ session: SessionCore, lost number: SessionID)
  /// The peer's flows have ended, or it is not heard of any more while it drains.
  func sessionFinished(_ session: SessionCore)
  /// The peer allows more flows than before.
  func sessionAllowsFlows(_ session: SessionCore)
  /// The last call.
  func session(_ session: SessionCore, ended error: QuicError)
}

/// One QUIC connection between two identities, with its control stream and the greeting.
///
///     dialing:  connecting --ready, HELLO--> greeting --WELCOME--> open --> ended
///     sharing:  connecting --ready---------> greeting --HELLO, proof, WELCOME--> open --> ended
///
/// A peer that is not let in may have to wait for the word: greeting --HELLO--> refused --> ended.
///
/// A side that wants to stop drains: it says GOODBYE, then FINISHED when its flows have ended. The
/// other side answers FINISHED when its own flows have ended as well; only then is everything with
/// the programs at both ends, and the first side closes. An acknowledgement would not do: it tells
/// that the peer has the bytes, not that its program does.
///
/// The sharing side sends nothing before the client proved its identity and capability: TLS lets a
/// server speak to a client that it does not know yet (RFC 9001 §5.7 warns of it).
final class SessionCore {
  let connection: ConnectionCore
  let isSharing: Bool
  /// What lets us in; the dialling side's.
  private let ticket: Ticket?
  /// What lets peers in; the sharing side's, with the address that the peer came from.
  private let gate: (Gate, source: SocketAddress)?
  /// The terms on which the peer was let in; known to the sharing side once open.
  private(set) var admission: Gate.Admission?
  weak var owner: (any SessionOwner)?
  private(set) var state = State.connecting
  /// Both sides have proved who they are: from here on nobody else can have ended it.
  private(set) var isProven = false
  /// What the sharing side offers; known to the dialing side once open.
  private(set) var services: [ControlMessage.Service]

  /// Called with the bytes that the peer sends back.
  var onPong: (([UInt8]) -> Void)?
  /// What the peer can do, by the bits of `ControlMessage.Capability`; known once open.
  private(set) var peerCapabilities: UInt64 = 0
  /// Whether peers whose tickets are for everything may ask us to listen (sharing side only).
  var offersListening = false
  /// Set by the owner: hears of listeners, and lets the peer open streams for them.
  weak var reverse: (any ReverseDelegate)?

  /// The UDP flows; set by the owner once the session is open, closed with it.
  var datagrams: DatagramFlows?

  /// Decides on the session's paths, while it is open.
  private(set) var paths: PathManager?
  /// When it was opened.
  private(set) var openedAt: Instant?
  private var tally: CarrierTally?

  private let endpoint: EndpointCore
  private let registry: PathRegistry
  private let loop: any EventLoop
  private var control: ControlChannel?
  private var greetingTimer: LoopTimer?
  private var answerTimer: LoopTimer?
  private var saidFinished = false
  /// The peer said FINISHED: it opens no more flows, and its own have ended.
  private(set) var peerFinished = false
  /// The peer itself said so: everything is with its programs.
  private(set) var isConfirmed = false

  enum State {
    case connecting
    case greeting
    /// Not let in, and about to be told; it has to wait for that (sharing side only).
    case refused
    case open
    case ended
  }

  /// The sharing side of a connection that was accepted.
  init(
    accepting connection: ConnectionCore, endpoint: EndpointCore, registry: PathRegistry,
    gate: Gate, source: SocketAddress, services: [ControlMessage.Service], loop: any EventLoop
  ) {
    self.endpoint = endpoint
    self.registry = registry
    self.connection = connection
    self.gate = (gate, source)
    ticket = nil
    self.services = services
    self.loop = loop
    isSharing = true
    connection.delegate = self
    connection.waitsForLoad = CarrierKind(connection.currentPath) == .relay
  }

  /// The dialing side; `endpoint` begins to connect at once.
  ///
  /// - Parameter path: the carrier's, or nil for UDP straight to the target.
  init(
    dialing target: ConnectTarget, over path: NetworkPath?, endpoint: EndpointCore,
    registry: PathRegistry, ticket: Ticket, loop: any EventLoop
  ) throws(QuicError) {
    self.endpoint = endpoint
    self.registry = registry
    if let path {
      connection = try endpoint.connect(to: target, over: path, delegate: nil)
    } else {
      connection = try endpoint.connect(to: target, delegate: nil)
    }
    self.ticket = ticket
    gate = nil
    services = []
    self.loop = loop
    isSharing = false
    connection.delegate = self
    connection.waitsForLoad = CarrierKind(connection.currentPath) == .relay
  }

  /// Ends the session with one of `TunnelCode`.
  func close(code: UInt64, reason: String) {
    connection.close(code: code, reason: reason)
  }

  /// Tells the peer that no more flows are opened or taken.
  func sayGoodbye(reason: String) {
    guard case .open = state else { return }
    control?.send(.goodbye(ControlMessage.Goodbye(reason: reason)))
  }

  /// Whether the peer may ask us to listen; known to the sharing side once it is let in.
  var mayListen: Bool { offersListening && admission?.allowsListening == true }

  /// Says something of what `reverse` answers for.
  func send(_ message: ControlMessage) {
    guard case .open = state else { return }
    control?.send(message)
  }

  /// Answers something for `reverse`.
  func answer(_ message: ControlMessage) {
    guard case .open = state else { return }
    control?.answer(message)
  }

  /// Tells the sharing side that an earlier session is of no use any more.
  func sayLost(_ number: SessionID) {
    guard case .open = state else { return }
    control?.send(.lost(number))
  }

  /// Where its packets go now, or went last.
  var currentRoad: NetworkPath { paths?.activePath.path ?? connection.currentPath }

  /// Both sides have passed everything on.
  var isFinished: Bool { saidFinished && peerFinished }

  /// Tells the peer, once, that our flows have ended.
  func sayFinished() {
    guard case .open = state, !saidFinished else { return }
    saidFinished = true
    control?.send(.finished)
    let timer = LoopTimer { [weak self] _ in self?.giveUpIfSilent() }
    answerTimer = timer
    loop.schedule(timer, at: loop.now + Self.answerTimeout)
  }

  /// A peer that does not even acknowledge has vanished, and a drain must not wait for it.
  private func giveUpIfSilent() {
    guard !peerFinished, control?.isAcknowledged == false else { return }
    peerFinished = true
    owner?.sessionFinished(self)
  }

  // MARK: Greeting

  private func beginGreeting() {
    state = .greeting
    isProven = true
    let timer = LoopTimer { [weak self] _ in
      self?.close(code: TunnelCode.helloTimeout, reason: "no greeting")
    }
    greetingTimer = timer
    loop.schedule(timer, at: loop.now + Self.greetingTimeout)
    guard let ticket else { return }
    guard let proof = CapabilityProof.make(capability: ticket.capability, connection: connection),
      let stream = try? connection.openStream(unidirectional: false)
    else {
      close(code: TunnelCode.protocolViolation, reason: "no control stream")
      return
    }
    adoptControl(stream)
    let hello = ControlMessage.Hello(
      version: Self.version,
      capabilities: Self.capabilities | ControlMessage.Capability.reverseListening, proof: proof,
      grant: ticket.grant?.bytes ?? [])
    control?.send(.hello(hello))
  }

  private func adoptControl(_ stream: StreamCore) {
    control = ControlChannel(stream: stream) { [weak self] message in
      self?.received(message)
    }
  }

  private func received(_ message: ControlMessage?) {
    guard let message else { return breakOff() }
    switch (message, state) {
    case (.hello(let hello), .greeting) where isSharing: judge(hello)
    case (.welcome(let welcome), .greeting) where !isSharing:
      services = welcome.services
      peerCapabilities = welcome.capabilities
      open()
    case (.goodbye(let goodbye), .open): owner?.session(self, saidGoodbye: goodbye.reason)
    case (.finished, .open):
      isConfirmed = true
      peerFinished = true
      owner?.sessionFinished(self)
    case (.listen, .open), (.unlisten, .open), (.listening, .open):
      if reverse?.session(self, received: message) != true { breakOff() }
    case (.lost(let number), .open) where isSharing: owner?.session(self, lost: number)
    case (.ping(let bytes), .open): answerPing(bytes)
    case (.pong(let bytes), .open): onPong?(bytes)
    case (.unknown, _), (_, .refused), (_, .ended): break
    default: breakOff()
    }
  }

  /// Asks the peer to send these bytes back, which it tells by `onPong`.
  func ping(_ bytes: [UInt8]) {
    if case .open = state { control?.send(.ping(bytes)) }
  }

  private func answerPing(_ bytes: [UInt8]) {
    // Whoever asks without taking the answers gets none, and fills no memory.
    guard let control, control.unacknowledgedCount < Self.pongsMax else { return }
    control.send(.pong(bytes))
  }

  private func breakOff() {
    close(code: TunnelCode.protocolViolation, reason: "unexpected control message")
  }

  private func judge(_ hello: ControlMessage.Hello) {
    guard hello.version >= Self.version else {
      close(code: TunnelCode.versionUnsupported, reason: "qtun/1 version \(Self.version) needed")
      return
    }
    guard let (gate, source) = gate else { return }
    switch gate.judge(hello, on: connection, from: source, now: loop.now) {
    case .admitted(let admission): welcome(admission)
    case .refused(let refusal, let delay): refuse(refusal, after: delay)
    }
  }

  private func refuse(_ refusal: Refusal, after delay: Duration) {
    guard delay > .zero else { return close(code: refusal.code, reason: refusal.reason) }
    state = .refused
    disarmTimers()
    let timer = LoopTimer { [weak self] _ in
      self?.close(code: refusal.code, reason: refusal.reason)
    }
    greetingTimer = timer
    loop.schedule(timer, at: loop.now + delay)
  }

  private func welcome(_ admission: Gate.Admission) {
    services = services.filter { admission.allows(service: $0.name) }
    guard !services.isEmpty else { return refuse(.nothingInScope, after: .zero) }
    self.admission = admission
    let listening = mayListen ? ControlMessage.Capability.reverseListening : 0
    let welcome = ControlMessage.Welcome(
      version: Self.version, capabilities: Self.capabilities | listening, services: services)
    control?.send(.welcome(welcome))
    open()
  }

  private func open() {
    state = .open
    openedAt = loop.now
    disarmTimers()
    managePaths()
    owner?.sessionOpened(self)
  }

  private func managePaths() {
    guard let keys = PathKeys(of: connection) else { return }
    let path = connection.currentPath
    let paths = PathManager(
      connection: connection, path: path, kind: CarrierKind(path), keys: keys,
      endpoint: endpoint, loop: loop)
    paths.owner = self
    tally = CarrierTally(startingOn: CarrierKind(path))
    registry.add(paths)
    self.paths = paths
  }

  private func disarmTimers() {
    for timer in [greetingTimer, answerTimer] {
      if let timer { loop.cancel(timer) }
    }
    greetingTimer = nil
    answerTimer = nil
  }

  private static let version: UInt64 = 1
  /// Bytes of answers to pings that are under way.
  private static let pongsMax = 65_536
  private static let capabilities =
    ControlMessage.Capability.datagramFlows | ControlMessage.Capability.namedDatagrams
  private static let greetingTimeout = Duration.seconds(5)
  /// Enough for an acknowledgement and its retransmissions on a bad path.
  private static let answerTimeout = Duration.seconds(2)
}

extension SessionCore: PathManagerOwner {
  func pathManagerWantsAlternatives(_ manager: PathManager) {
    owner?.sessionWantsAlternatives(self)
  }

  func pathManagerIsSure(_ manager: PathManager) {
    owner?.sessionIsSure(self)
  }

  func pathManager(_ manager: PathManager, movedTo path: PathState, because reason: SwitchReason) {
    connection.waitsForLoad = connection.waitsForLoad && path.kind == .relay
    tally?.move(to: path.kind, statistics: connection.statistics)
    owner?.session(self, movedTo: path.path, because: reason)
  }

  func pathManager(_ manager: PathManager, silentFor time: Duration) {
    owner?.session(self, silentFor: time)
  }

  func pathManager(_ manager: PathManager, returnedAfter time: Duration) {
    owner?.session(self, returnedAfter: time)
  }
}

extension SessionCore {
  /// How it is doing; nil before it is open.
  ///
  /// - Parameter path: its path, as people know it.
  func report(path: SessionPath, flows: [FlowStatus], flowsOpen: Int) -> SessionReport? {
    guard let openedAt, let paths, let tally else { return nil }
    let statistics = connection.statistics
    let now = loop.now
    return SessionReport(
      peer: connection.peer, path: path, obstacle: paths.obstacle(now: now), age: now - openedAt,
      rtt: statistics.smoothedRTT, packetsSent: statistics.datagramsSent,
      packetsLost: statistics.packetsLost, carriers: tally.totals(statistics),
      switches: paths.switches, lastProven: statistics.lastAcknowledged.map { now - $0 },
      silence: paths.outage.map { now - $0.since }, flowsOpen: flowsOpen, flows: flows)
  }
}

extension SessionCore: ConnectionDelegate {
  func connectionReady(_ connection: ConnectionCore) {
    beginGreeting()
  }

  func connection(_ connection: ConnectionCore, opened stream: StreamCore) {
    // The dialing side opens streams: first the control stream, then flows. The sharing side does for
    // listeners that it was asked for.
    let isExpected = isSharing || reverse != nil
    if isExpected, !stream.id.isUnidirectional {
      if isSharing, control == nil, stream.id.number == 0 {
        adoptControl(stream)
        return
      }
      if case .open = state {
        owner?.session(self, opened: stream)
        return
      }
    }
    close(code: TunnelCode.protocolViolation, reason: "unexpected stream")
  }

  func connectionAllowsStreams(_ connection: ConnectionCore) {
    if case .open = state { owner?.sessionAllowsFlows(self) }
  }

  func connection(_ connection: ConnectionCore, received datagram: UnsafeRawBufferPointer) {
    // Nil, and dropped, before the greeting is over: they may overtake it.
    datagrams?.receive(datagram)
  }

  func connectionDeliveredDatagrams(_ connection: ConnectionCore) {
    datagrams?.flush()
  }

  func connection(_ connection: ConnectionCore, closed error: QuicError) {
    // A side closes with this code once both have finished; the word itself may have been lost.
    if case .application(TunnelCode.drained, true, _) = error { isConfirmed = true }
    if case .refused = state { gate?.0.waitEnded() }
    state = .ended
    disarmTimers()
    if let paths {
      paths.stop()
      registry.remove(paths)
    }
    datagrams?.close()
    owner?.session(self, ended: error)
  }
}
