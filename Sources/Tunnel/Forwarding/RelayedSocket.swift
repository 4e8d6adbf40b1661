internal import QuicTransport

/// A node's leg of a relayed session: one more socket of its endpoint, whose datagrams go through
/// the relay on the very road that the node's connection to the relay uses.
///
///     bound --road moved, or 250 ms of silence--> binding --CHALLENGE--> answered --BOUND--> bound
///
/// It keeps sending meanwhile: silence may as well be the other node's, and then nothing is wrong
/// with the leg.
final class RelayedSocket: DatagramSocket {
  /// What the endpoint and the path manager know this leg by.
  let path: NetworkPath
  let session: UInt32
  /// The path to the relay.
  private(set) var road: NetworkPath
  weak var receiver: (any DatagramReceiver)?
  /// Called when nothing has come for a while, less and less often.
  var onSilence: (() -> Void)?

  private let key: SecretBytes
  private let endpoint: EndpointCore
  private let loop: any EventLoop
  private var run = DatagramRun()
  private var sequence: UInt16 = 0
  /// The generation that our datagrams carry, and the one that we ask for.
  private var generation: UInt32
  private var wanted: UInt32
  /// Our answer is on its way; until the relay has it, what we send is lost.
  private var awaitsBound = false
  private var unansweredSince: Instant?
  private var retryInterval = RelayedSocket.bindInterval
  private var timer: LoopTimer?
  private var isClosed = false

  /// - Parameters:
  ///   - number: unique among the legs of this endpoint.
  ///   - road: where the relay believes this node to be: the path of the connection to it.
  init(
    grant: LegGrant, number: UInt64, road: NetworkPath, endpoint: EndpointCore,
    loop: any EventLoop
  ) {
    path = PathLabel.carrier(number, kind: .relay)
    session = grant.session
    key = SecretBytes(grant.key)
    generation = grant.generation
    wanted = grant.generation
    self.road = road
    self.endpoint = endpoint
    self.loop = loop
    timer = LoopTimer { [weak self] now in self?.watch(now: now) }
  }

  var localAddress: SocketAddress { path.local }

  var isBlocked: Bool { endpoint.isBlocked(road) }

  func sourceAddress(towards remote: SocketAddress) -> SocketAddress { path.local }

  func close() {
    isClosed = true
    receiver = nil
    if let timer { loop.cancel(timer) }
  }

  // MARK: Sending

  func send(_ batch: DatagramBatch) -> SendResult {
    guard !isClosed else { return .sent }
    if unansweredSince == nil {
      unansweredSince = loop.now
      if let timer, !timer.isArmed { loop.schedule(timer, at: loop.now + Self.silence) }
    }
    var result = SendResult.sent
    var offset = 0
    while offset < batch.bytes.count {
      let size = min(batch.segmentSize, batch.bytes.count - offset)
      let payload = UnsafeRawBufferPointer(rebasing: batch.bytes[offset..<offset + size])
      offset += size
      // A probe for the largest packet: the header makes it too large for UDP.
      guard size <= DatagramRun.payloadMax else { continue }
      if !run.accepts(size, to: road, ecn: batch.ecn), flush() == .blocked { result = .blocked }
      let header = RelayHeader(
        kind: .data, sequence: sequence, session: session, generation: generation)
      sequence &+= 1
      run.append(header, payload, to: road, ecn: batch.ecn)
    }
    return flush() == .blocked ? .blocked : result
  }

  private func flush() -> SendResult {
    guard let batch = run.take() else { return .sent }
    return endpoint.send(batch)
  }

  // MARK: Receiving

  /// Takes a datagram whose header names this leg's session.
  func receive(_ datagram: ReceivedDatagram, _ header: RelayHeader, now: Instant) {
    // What the relay sent before it heard of the newest binding is as good.
    guard !isClosed, wanted &- header.generation <= 2 else { return }
    switch header.kind {
    case .data:
      // Only the relay sends here; QUIC knows the rest from what is forged.
      guard datagram.path.remote == road.remote else { return }
      unansweredSince = nil
      if header.generation == generation { awaitsBound = false }
      retryInterval = Self.bindInterval
      let payload = UnsafeRawBufferPointer(rebasing: datagram.bytes[RelayHeader.byteCount...])
      receiver?.receive(
        ReceivedDatagram(bytes: payload, path: path, ecn: datagram.ecn), now: now)
    case .challenge:
      guard wanted != generation, header.generation == wanted,
        let message = BindMessage(datagram.bytes, key: key)
      else { return }
      say(.answer, cookie: message.cookie)
      // What follows the answer on the same road finds the leg bound.
      generation = wanted
      awaitsBound = true
      if let timer { loop.schedule(timer, at: now + Self.bindInterval) }
    case .bound:
      guard awaitsBound, header.generation == wanted,
        BindMessage(datagram.bytes, key: key) != nil
      else { return }
      awaitsBound = false
      // Still nothing from the other node: silence is looked into less and less often.
      if let timer { loop.schedule(timer, at: now + retryInterval) }
    case .bind, .answer: break
    }
  }

  // MARK: Binding

  /// The node's connection to the relay has moved; the leg follows.
  func move(to road: NetworkPath) {
    guard road != self.road, !isClosed else { return }
    self.road = road
    retryInterval = Self.bindInterval
    bind(now: loop.now)
  }

  private func watch(now: Instant) {
    guard !isClosed else { return }
    if awaitsBound { return bind(now: now) }
    guard let since = unansweredSince else { return }
    let due = since + Self.silence
    guard due <= now else {
      if let timer { loop.schedule(timer, at: due) }
      return
    }
    bind(now: now)
    onSilence?()
  }

  private func bind(now: Instant) {
    if wanted == generation { wanted &+= 1 }
    awaitsBound = false
    say(.bind, cookie: BindMessage.noCookie)
    if unansweredSince == nil { unansweredSince = now }
    if let timer { loop.schedule(timer, at: now + retryInterval) }
    retryInterval = min(retryInterval * 2, Self.bindIntervalMax)
  }

  private func say(_ kind: RelayHeader.Kind, cookie: [UInt8]) {
    let message = BindMessage(
      kind: kind, session: session, generation: wanted, cookie: cookie)
    message.encoded(key: key).withUnsafeBytes { bytes in
      let batch = DatagramBatch(
        bytes: bytes, segmentSize: bytes.count, path: road, ecn: .notCapable)
      _ = endpoint.send(batch)
    }
  }

  /// Before a path manager is in doubt (300 ms), so that it need not be.
  private static let silence = Duration.milliseconds(250)
  private static let bindInterval = Duration.milliseconds(200)
  /// The other node may be gone; whoever keeps sending to it does not trouble the relay more often.
  private static let bindIntervalMax = Duration.seconds(15)
}

/// What a relay grants to one node of a session, on the node's connection.
struct LegGrant: Equatable {
  var session: UInt32
  /// The first one, bound to the path of the connection.
  var generation: UInt32
  /// Of `BindMessage`.
  var key: [UInt8]

  static let keyCount = 32
}

/// The legs of an endpoint, through one relay or several.
final class RelayedSockets {
  /// By their session at a relay; two relays may give out the same number.
  private var sockets: [UInt32: [RelayedSocket]] = [:]
  private var count = 0
  private var lastNumber: UInt64 = 0
  private let endpoint: EndpointCore
  private let registry: PathRegistry
  private let loop: any EventLoop

  init(endpoint: EndpointCore, registry: PathRegistry, loop: any EventLoop) {
    self.endpoint = endpoint
    self.registry = registry
    self.loop = loop
    registry.onRelayed = { [weak self] in self?.receive($0, now: $1) }
  }

  /// Adds a leg; nil when there are too many, or one of this session at the same relay.
  ///
  /// - Parameters:
  ///   - road: the path of the connection to the relay.
  ///   - relay: its address, for people.
  func add(_ grant: LegGrant, road: NetworkPath, relay: SocketAddress) -> RelayedSocket? {
    let others = sockets[grant.session] ?? []
    guard others.allSatisfy({ $0.road.remote != road.remote }), count < Self.socketsMax else {
      return nil
    }
    lastNumber += 1
    let socket = RelayedSocket(
      grant: grant, number: lastNumber, road: road, endpoint: endpoint, loop: loop)
    sockets[grant.session] = others + [socket]
    count += 1
    endpoint.add(socket)
    registry.note(socket.path, through: relay)
    return socket
  }

  /// Takes a datagram that begins with `RelayHeader.firstByte`.
  func receive(_ datagram: ReceivedDatagram, now: Instant) {
    guard let header = RelayHeader(datagram.bytes) else { return }
    guard let found = sockets[header.session] else { return }
    let socket = found.first { $0.road.remote == datagram.path.remote } ?? found[0]
    socket.receive(datagram, header, now: now)
  }

  /// The connection to the relay moved from one path to another.
  func move(from old: NetworkPath, to road: NetworkPath) {
    for socket in sockets.values.joined() where socket.road == old { socket.move(to: road) }
  }

  /// The session is over; its path goes with it.
  func remove(_ socket: RelayedSocket) {
    guard var rest = sockets[socket.session], let index = rest.firstIndex(where: { $0 === socket })
    else { return }
    rest.remove(at: index)
    sockets[socket.session] = rest.isEmpty ? nil : rest
    count -= 1
    endpoint.remove(socket)
    socket.close()
    registry.note(socket.path, through: nil)
    registry.carrierEnded(socket.path)
  }

  /// Ends all.
  func close() {
    for socket in sockets.values.joined() { remove(socket) }
  }

  /// As many as a relay introduces to one node.
  private static let socketsMax = 256
}
