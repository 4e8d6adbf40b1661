internal import QuicTransport

/// Told what a rendezvous says. Called on the loop.
protocol RendezvousClientOwner: AnyObject {
  /// We greeted it, and it has not answered: what can be said without its answer saves a round trip.
  func rendezvousGreeted(_ client: RendezvousClient)
  /// It greeted us: what was said to an earlier connection has to be said again.
  func rendezvousOpened(_ client: RendezvousClient, _ welcome: RelayMessage.Welcome)
  func rendezvous(_ client: RendezvousClient, said message: RelayMessage)
  /// The connection moved from one road to another.
  func rendezvous(_ client: RendezvousClient, movedFrom old: NetworkPath, to road: NetworkPath)
  /// Nothing has been heard of it for seconds, or it is heard of again.
  func rendezvous(_ client: RendezvousClient, isSilent: Bool)
  /// The connection is gone, or none came about; another follows after `delay`.
  func rendezvousLost(_ client: RendezvousClient, because reason: QuicError?, retryIn: Duration)
}

/// A node's connection to one rendezvous, over the node's own UDP socket, or over TCP where UDP does
/// not pass; dialled again for ever, less and less often.
///
///     dialling --first to be ready--> greeting --WELCOME--> open --.
///        ^  '---- all failed ----.        '---- closed ----.       | closed
///        '---- backoff ------- resting <-------------------'-------'
///
/// A session's `PathManager` looks after its roads too, so it moves between UDP and TCP as sessions
/// do, and keeps what it has registered.
final class RendezvousClient {
  let rendezvous: RendezvousAddress
  weak var owner: (any RendezvousClientOwner)?
  private(set) var isOpen = false
  /// The path of the connection; nil while there is none.
  private(set) var road: NetworkPath?
  /// The UDP or TCP address that it leads to.
  var address: SocketAddress? { road.map { dialer.remote(of: $0) ?? $0.remote } }
  /// What the rendezvous listens at for us; nil for nothing. Set before `start`.
  var publicPlaces: PublicPlaces? {
    didSet { plan.isAwaited = publicPlaces != nil }
  }
  /// Of our HELLO; set before `start`.
  var capabilities: UInt64 = 0
  /// Shown to the rendezvous once it has proved its key, if it is for that key; set before `start`.
  var token: RelayToken?

  private let endpoint: EndpointCore
  private let registry: PathRegistry
  private let dialer: CarrierDialer
  private let loop: any EventLoop
  private let policy: CarrierPolicy
  private var attempts: [DialPlan.Attempt] = []
  /// From 0 to 1.
  private let jitter: () -> Double
  private var nextAttempt = 0
  private var pendingCarriers = 0
  /// Tells carriers of an earlier race from those of this one.
  private var race = 0
  private var dialled: [ConnectionCore] = []
  private var connection: ConnectionCore?
  private var control: MessageChannel<RelayMessage>?
  private var paths: PathManager?
  private var timer: LoopTimer?
  private var plan = ReturnPlan()
  /// Until the timer fires.
  private var isResting = false
  private var isClosed = false
  /// Tells numbers that an earlier connection gave from those of this one.
  private(set) var round = 0
  /// The rendezvous' clock when it greeted us, and ours.
  private var clock: (time: UInt64, at: Instant)?
  /// How far its clock was from what `time` said before it greeted us, in seconds.
  private(set) var clockCorrection: UInt64 = 0
  private let wallClock: () -> UInt64

  /// - Parameters:
  ///   - wallClock: seconds since 1970, for as long as the rendezvous has not told its own time.
  ///   - jitter: from 0 to 1.
  init(
    rendezvous: RendezvousAddress, endpoint: EndpointCore, registry: PathRegistry,
    dialer: CarrierDialer, policy: CarrierPolicy, loop: any EventLoop,
    wallClock: @escaping () -> UInt64, jitter: @escaping () -> Double
  ) {
    self.rendezvous = rendezvous
    self.endpoint = endpoint
    self.registry = registry
    self.dialer = dialer
    self.loop = loop
    self.policy = policy
    self.wallClock = wallClock
    self.jitter = jitter
  }

  func start() { dial() }

  /// Says farewell, for good.
  func close() {
    isClosed = true
    if let timer { loop.cancel(timer) }
    for connection in dialled { connection.close(code: RelayCode.done, reason: "") }
    connection?.close(code: RelayCode.done, reason: "")
  }

  /// Also before its greeting has come: it reads ours first.
  func send(_ message: RelayMessage) { control?.send(message) }

  var isGreeted: Bool { control != nil }

  /// The rendezvous' clock; ours before it greeted us.
  var time: UInt64 {
    clock.map { $0.time + UInt64(max(0, (loop.now - $0.at).seconds)) } ?? wallClock()
  }

  /// Of its connection; nil while there is none.
  var roundTrip: Duration? { connection?.statistics.smoothedRTT }

  /// Something that goes through this rendezvous fell silent: asks it whether it is there.
  func lookAgain() { paths?.lookAgain(now: loop.now) }

  /// Addresses or routes changed, or the machine woke up: looks for it by the new ones at once.
  func networkChanged() {
    guard !isClosed else { return }
    guard connection == nil else {
      if let paths {
        addAddresses(to: paths)
        paths.lookAgain(now: loop.now)
      }
      return
    }
    plan.networkChanged()
    if isResting { dial() }
  }

  private func addAddresses(to paths: PathManager) {
    guard policy.allows(.udp) else { return }
    for address in rendezvous.addresses {
      guard let local = endpoint.sourceAddress(towards: address) else { continue }
      paths.add(NetworkPath(local: local, remote: address), kind: .udp)
    }
  }

  /// Over UDP, so that what it saw is our UDP address.
  var usesUDP: Bool { paths?.activePath.kind == .udp }

  // MARK: Dialling

  private func dial() {
    isResting = false
    round += 1
    let reachesUDP = rendezvous.addresses.contains {
      endpoint.sourceAddress(towards: $0)?.isUnspecified == false
    }
    attempts =
      DialPlan(addresses: rendezvous.addresses, policy: policy, reachesUDP: reachesUDP).attempts
    nextAttempt = 0
    endRace()
    dialNext()
  }

  /// Carriers that come late are for nobody, and nobody waits for them: neither now nor when the
  /// connection that has won is lost.
  private func endRace() {
    race += 1
    pendingCarriers = 0
  }

  private func dialNext() {
    guard connection == nil, !isClosed else { return }
    guard nextAttempt < attempts.count else {
      restIfDone(because: nil)
      return boundDial()
    }
    let attempt = attempts[nextAttempt]
    nextAttempt += 1
    if attempt.kind == .udp {
      dial(attempt.address, over: nil)
    } else {
      pendingCarriers += 1
      let race = race
      dialer.open(attempt.address, kind: attempt.kind, besides: nil) { [weak self] result in
        self?.carrierSettled(try? result.get(), address: attempt.address, of: race)
      }
    }
    let delay =
      nextAttempt < attempts.count
      ? attempts[nextAttempt].delay - attempt.delay : .zero
    arm(after: delay) { $0.dialNext() }
  }

  private func carrierSettled(_ carrier: StreamCarrier?, address: SocketAddress, of race: Int) {
    guard race == self.race, !isClosed else {
      if let carrier { dialer.discard(carrier.path) }
      return
    }
    pendingCarriers -= 1
    guard let carrier else { return restIfDone(because: nil) }
    dial(address, over: carrier.path)
  }

  private func dial(_ address: SocketAddress, over path: NetworkPath?) {
    var target = ConnectTarget(
      address: address, expectedPeer: rendezvous.key, serverName: nil)
    target.applicationProtocol = RelayCore.applicationProtocol
    let made =
      if let path {
        try? endpoint.connect(to: target, over: path, delegate: self)
      } else {
        try? endpoint.connect(to: target, delegate: self)
      }
    // Only a broken configuration fails here, and another address fails the same way.
    if let made { dialled.append(made) }
  }

  private func restIfDone(because reason: QuicError?) {
    guard connection == nil, dialled.isEmpty, pendingCarriers == 0, !isClosed,
      nextAttempt >= attempts.count
    else { return }
    let delay = plan.delay(because: reason, jitter: jitter())
    isResting = true
    arm(after: delay) { $0.dial() }
    owner?.rendezvousLost(self, because: reason, retryIn: delay)
  }

  /// Gives up what was dialled when there is reason to dial anew.
  private func boundDial() {
    guard connection == nil, !dialled.isEmpty, let patience = plan.patience else { return }
    arm(after: patience) { client in
      guard client.connection == nil else { return }
      for connection in client.dialled {
        connection.close(code: RelayCode.superfluous, reason: "")
      }
    }
  }

  private func arm(after delay: Duration, _ action: @escaping (RendezvousClient) -> Void) {
    if let timer { loop.cancel(timer) }
    let timer = LoopTimer { [weak self] _ in
      if let self { action(self) }
    }
    self.timer = timer
    loop.schedule(timer, at: loop.now + delay)
  }

  // MARK: Greeting

  private func greet(_ winner: ConnectionCore) {
    connection = winner
    endRace()
    if let timer { loop.cancel(timer) }
    for other in dialled where other !== winner {
      let path = other.currentPath
      other.close(code: RelayCode.superfluous, reason: "")
      dialer.discard(path)
    }
    dialled.removeAll { $0 !== winner }
    guard let stream = try? winner.openStream(unidirectional: false) else {
      return winner.close(code: RelayCode.protocolViolation, reason: "no control stream")
    }
    control = MessageChannel(stream: stream) { [weak self] in self?.received($0) }
    control?.send(.hello(.init(version: RelayPeer.version, capabilities: offered)))
    if let token, token.isFor(rendezvous.key) {
      control?.send(.access(.token(secret: token.secret.withBytes { Array($0) })))
    }
    owner?.rendezvousGreeted(self)
    arm(after: Self.greetingTimeout) { client in
      client.connection?.close(code: RelayCode.helloTimeout, reason: "no greeting")
    }
  }

  private var offered: UInt64 {
    capabilities | (publicPlaces == nil ? 0 : RelayMessage.listensPublicly)
  }

  private func received(_ message: RelayMessage?) {
    switch message {
    case .listening(let message) where isOpen:
      if publicPlaces?.take(message) == true { break }
      connection?.close(code: RelayCode.protocolViolation, reason: "unexpected message")
    case .welcome(let welcome) where !isOpen: open(welcome)
    case .unknown: break
    case .access(.restarting(let restart)) where isOpen:
      plan.note(restart)
      owner?.rendezvous(self, said: .access(.restarting(restart)))
    case let message? where isOpen && message.isOfRelay: owner?.rendezvous(self, said: message)
    default:
      connection?.close(code: RelayCode.protocolViolation, reason: "unexpected message")
    }
  }

  private func open(_ welcome: RelayMessage.Welcome) {
    guard let connection, let keys = PathKeys(of: connection) else { return }
    if let timer { loop.cancel(timer) }
    isOpen = true
    plan.opened()
    let assumed = time
    clockCorrection = max(assumed, welcome.time) - min(assumed, welcome.time)
    clock = (welcome.time, loop.now)
    // The endpoint's own settings are for sessions, which may be idle for hours. 15 s of the usual 45:
    // with 20, a session whose relay was started again is back a second later than it may be.
    let lease = Duration.seconds(Int64(min(max(welcome.lease, Self.leaseMin), Self.leaseMax)))
    connection.keepAlive(every: lease / 3)
    let path = connection.currentPath
    road = path
    let paths = PathManager(
      connection: connection, path: path, kind: CarrierKind(path), keys: keys,
      endpoint: endpoint, loop: loop)
    paths.owner = self
    registry.add(paths)
    self.paths = paths
    owner?.rendezvousOpened(self, welcome)
    if let publicPlaces {
      paths.idleProbeInterval = Self.publicProbeInterval
      publicPlaces.opened(connection, capabilities: welcome.capabilities) { [weak self] in
        self?.send(.listening($0))
      }
    }
  }

  /// A relay that was started again knows us a second or two later.
  private static let publicProbeInterval = Duration.seconds(1)
  private static let greetingTimeout = Duration.seconds(5)
  /// Seconds; what a relay may ask of us, between a packet a second and one in 20 minutes.
  private static let leaseMin: UInt64 = 3
  private static let leaseMax: UInt64 = 3_600
}

extension RendezvousClient: PathManagerOwner {
  func pathManagerWantsAlternatives(_ manager: PathManager) {
    for address in rendezvous.addresses {
      if manager.activePath.kind == .udp || !manager.activePath.isValidated, policy.allows(.tcp) {
        dialer.open(address, kind: .tcp, besides: manager.activePath.path) {
          [weak manager] result in
          guard let carrier = try? result.get() else { return }
          manager?.add(carrier.path, kind: carrier.kind)
        }
      }
    }
    if manager.activePath.kind != .udp { addAddresses(to: manager) }
  }

  func pathManagerIsSure(_ manager: PathManager) {
    dialer.keepOnly(manager.activePath.path)
  }

  func pathManager(_ manager: PathManager, movedTo path: PathState, because reason: SwitchReason) {
    guard let old = road else { return }
    road = path.path
    owner?.rendezvous(self, movedFrom: old, to: path.path)
  }

  // The connection's idle timeout ends what stays silent.
  func pathManager(_ manager: PathManager, silentFor time: Duration) {
    owner?.rendezvous(self, isSilent: true)
  }

  func pathManager(_ manager: PathManager, returnedAfter time: Duration) {
    owner?.rendezvous(self, isSilent: false)
  }
}

extension RendezvousClient: ConnectionDelegate {
  func connectionReady(_ connection: ConnectionCore) {
    guard self.connection == nil, !isClosed else {
      return connection.close(code: RelayCode.superfluous, reason: "")
    }
    greet(connection)
  }

  func connection(_ connection: ConnectionCore, opened stream: StreamCore) {
    if connection === self.connection, isOpen, publicPlaces?.take(stream) == true { return }
    connection.close(code: RelayCode.protocolViolation, reason: "unexpected stream")
  }

  func connectionAllowsStreams(_ connection: ConnectionCore) {}

  func connection(_ connection: ConnectionCore, received datagram: UnsafeRawBufferPointer) {
    if connection === self.connection { publicPlaces?.receive(datagram) }
  }

  func connectionDeliveredDatagrams(_ connection: ConnectionCore) {
    if connection === self.connection { publicPlaces?.flush() }
  }

  func connection(_ connection: ConnectionCore, closed error: QuicError) {
    dialled.removeAll { $0 === connection }
    dialer.discard(paths?.activePath.path ?? connection.currentPath)
    if connection === self.connection {
      if let paths {
        paths.stop()
        registry.remove(paths)
      }
      paths = nil
      if case .application(let code, true, _) = error, RelayDenial(code: code)?.isLasting == true {
        publicPlaces?.denied()
      }
      publicPlaces?.lost()
      road = nil
      control = nil
      isOpen = false
      self.connection = nil
      nextAttempt = attempts.count
    }
    restIfDone(because: error)
  }
}
