internal import HolePunch
internal import QuicTransport

/// Told what a node says. Called on the loop.
protocol RelayPeerOwner: AnyObject {
  /// The node has proved its identity and greeted; a rejection closes the connection.
  func relayPeerGreeted(_ peer: RelayPeer) -> RelayPeer.Rejection?
  /// A message of a node that was let in.
  func relayPeer(_ peer: RelayPeer, said message: RelayMessage)
  /// It said more than any honest node does, and is cut off.
  func relayPeerFloods(_ peer: RelayPeer)
  /// The connection is gone; the last call.
  func relayPeerEnded(_ peer: RelayPeer)
}

/// One node at a relay: its connection, its control stream and what it has said of itself.
///
///     connecting --ready--> greeting --HELLO, let in, WELCOME--> open --> ended
final class RelayPeer {
  let connection: ConnectionCore
  weak var owner: (any RelayPeerOwner)?
  private(set) var state = State.connecting
  /// How it can be reached; nil until it has said so.
  var offer: NodeOffer?
  /// Of its HELLO.
  private(set) var capabilities: UInt64 = 0
  /// Wants to be found.
  var isRegistered = false
  /// Whom it looks for, with the token for each; bounded by the owner.
  var finds: [PublicKey: [UInt8]] = [:]
  /// Introductions that it takes part in; bounded by the owner.
  var introductions: Set<UInt64> = []

  /// What it may do besides looking for others.
  var admission: RelayGate.Admission?
  /// It has shown a token, good or bad.
  var hasShownToken = false
  /// While its token waits for its turn: what it says meanwhile, bounded by the owner.
  var turn: Turn?
  /// Armed while it waits to be sent away; nothing that it says is heard then.
  var dismissal: LoopTimer?
  /// Under which the owner counts it; nil while it is not let in.
  var sourceKey: UInt64?
  /// Its UDP visitors, where it shares a public UDP port.
  var datagrams: DatagramFlows?

  /// Its age among the peers of its owner.
  let serial: UInt64

  private let endpoint: EndpointCore
  private let registry: PathRegistry
  private let loop: any EventLoop
  private var control: MessageChannel<RelayMessage>?
  private var paths: PathManager?
  private var greetingTimer: LoopTimer?
  private var messages: TokenBucket

  /// Why a node is not let in.
  struct Rejection {
    let code: UInt64
    let reason: String
  }

  /// A token that is to be looked at later.
  struct Turn {
    let timer: LoopTimer
    var held: [RelayMessage] = []
  }

  enum State {
    case connecting
    case greeting
    case open
    case ended
  }

  init(
    accepting connection: ConnectionCore, endpoint: EndpointCore, registry: PathRegistry,
    serial: UInt64, limits: RelayLimits, loop: any EventLoop
  ) {
    self.serial = serial
    self.connection = connection
    self.endpoint = endpoint
    self.registry = registry
    self.loop = loop
    messages = TokenBucket(
      rate: Double(limits.messagesPerSecond),
      burst: Double(RelayLimits.burstFactor * limits.messagesPerSecond), now: loop.now)
    connection.delegate = self
    let timer = LoopTimer { [weak self] _ in
      self?.close(code: RelayCode.helloTimeout, reason: "no greeting")
    }
    greetingTimer = timer
    loop.schedule(timer, at: loop.now + Self.greetingTimeout)
  }

  /// What names it; known once the handshake is done.
  var identity: PublicKey? { connection.peer }

  /// The path that it uses now.
  var path: NetworkPath { paths?.activePath.path ?? connection.currentPath }

  /// Where its UDP packets come from; nil while it uses a byte stream.
  var observed: SocketAddress? {
    let path = path
    return CarrierKind(path) == .udp ? path.remote : nil
  }

  /// Nothing has been heard of it for a second although an answer is due.
  var isSilent: Bool { paths?.outage != nil }

  /// For how long nothing has been heard of it although an answer is due; nil while all is well.
  var silence: Duration? { paths?.outage.map { loop.now - $0.since } }

  /// Whether visitors wait for it: then it is asked each second whether it is there. What it owes
  /// them may take minutes, and all that it had to acknowledge is acknowledged.
  var isAwaited = false {
    didSet {
      guard isAwaited != oldValue else { return }
      paths?.idleProbeInterval =
        isAwaited ? Self.awaitedProbeInterval : Self.restingProbeInterval
    }
  }

  /// The time that a message to it takes.
  var delay: Duration { connection.statistics.smoothedRTT / 2 }

  /// Says what it has not asked for: what others caused, and what happened.
  func send(_ message: RelayMessage) {
    guard case .open = state else { return }
    // What others can have it told is held back long before.
    guard !isBehind(by: Self.heldMax) else {
      return close(code: RelayCode.tooMuch, reason: "nothing is taken")
    }
    control?.send(message)
  }

  /// Answers what it asked; one that asks without taking the answers is cut off.
  func answer(_ message: RelayMessage) {
    guard case .open = state else { return }
    control?.answer(message)
  }

  /// Whether so much waits for it that others may not add to it: it may be cut off from the network, or
  /// mean ill.
  func isBehind(by count: Int) -> Bool { control.map { $0.unacknowledgedCount >= count } ?? false }

  /// Answers the greeting; called while the owner lets it in.
  func welcome(_ welcome: RelayMessage.Welcome) {
    control?.send(.welcome(welcome))
  }

  func close(code: UInt64, reason: String) {
    connection.close(code: code, reason: reason)
  }

  private func received(_ message: RelayMessage?) {
    guard case .open = state else { return receivedEarly(message) }
    guard let message else {
      return close(code: RelayCode.protocolViolation, reason: "not qtun-relay/1")
    }
    guard messages.take(now: loop.now) else {
      owner?.relayPeerFloods(self)
      return close(code: RelayCode.tooMuch, reason: "too many messages")
    }
    owner?.relayPeer(self, said: message)
  }

  private func receivedEarly(_ message: RelayMessage?) {
    guard case .greeting = state else { return }
    switch message {
    case .hello(let hello) where hello.version >= Self.version:
      capabilities = hello.capabilities
      open()
    case .hello:
      close(
        code: RelayCode.versionUnsupported, reason: "qtun-relay/1 version \(Self.version) needed")
    case .unknown: break
    default: close(code: RelayCode.protocolViolation, reason: "no greeting")
    }
  }

  private func open() {
    guard let keys = PathKeys(of: connection), let owner else {
      return close(code: RelayCode.full, reason: Self.fullReason)
    }
    if let rejection = owner.relayPeerGreeted(self) {
      return close(code: rejection.code, reason: rejection.reason)
    }
    if let greetingTimer { loop.cancel(greetingTimer) }
    greetingTimer = nil
    state = .open
    let path = connection.currentPath
    let paths = PathManager(
      connection: connection, path: path, kind: CarrierKind(path), keys: keys,
      endpoint: endpoint, loop: loop)
    paths.idleProbeInterval = Self.restingProbeInterval
    registry.add(paths)
    self.paths = paths
  }

  static let version: UInt64 = 1
  static let fullReason = "this relay is full"
  private static let greetingTimeout = Duration.seconds(5)
  private static let heldMax = 1_024 * 1_024
  private static let awaitedProbeInterval = Duration.seconds(1)
  /// Nodes ask often enough; a relay has thousands of them.
  private static let restingProbeInterval = RelayCore.idleTimeout
}

extension RelayPeer: ConnectionDelegate {
  func connectionReady(_ connection: ConnectionCore) {
    state = .greeting
  }

  func connection(_ connection: ConnectionCore, opened stream: StreamCore) {
    // One stream, the node's first.
    guard control == nil, stream.id.number == 0, !stream.id.isUnidirectional else {
      return close(code: RelayCode.protocolViolation, reason: "unexpected stream")
    }
    control = MessageChannel(stream: stream) { [weak self] in self?.received($0) }
  }

  func connectionAllowsStreams(_ connection: ConnectionCore) {}

  func connection(_ connection: ConnectionCore, received datagram: UnsafeRawBufferPointer) {
    datagrams?.receive(datagram)
  }

  func connectionDeliveredDatagrams(_ connection: ConnectionCore) {
    datagrams?.flush()
  }

  func connection(_ connection: ConnectionCore, closed error: QuicError) {
    if let greetingTimer { loop.cancel(greetingTimer) }
    greetingTimer = nil
    if let paths {
      paths.stop()
      registry.remove(paths)
    }
    state = .ended
    owner?.relayPeerEnded(self)
  }
}
