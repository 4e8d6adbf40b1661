internal import CNgtcp2

/// All connections of one or more datagram sockets on one loop: routes datagrams, accepts, dials.
///
/// The decision for each datagram, in this order:
///
///     not QUIC (bit 0x40 and 0x80 clear) -> foreign     STUN and our own control messages
///     under 21 bytes                     -> dropped     F11; no QUIC packet is shorter
///     a connection ID that we know       -> connection
///     Version Negotiation                -> dropped
///     a version that we do not speak     -> Version Negotiation
///     an Initial                         -> refused, Retry, or a new connection
///     a stateless reset that we can tell -> its connection
///     any other short header             -> stateless reset
///
/// What has no connection costs no memory, and its answers are smaller than what they answer and
/// limited in rate (`AnswerBudget`).
public final class EndpointCore {
  /// The loop that everything here runs on.
  public let loop: any EventLoop
  /// Fixed from the start.
  public let settings: EndpointSettings
  /// As in the settings; may be changed at any time, for connections to come.
  public var connectionsMax: Int
  /// Told of each accepted connection before its first event; sets the delegate.
  public var onIncoming: ((ConnectionCore) -> Void)?
  /// Whether a client may begin a connection from there now, asked before it costs anything; who may
  /// not gets no answer.
  public var admits: (NetworkPath) -> Bool = { _ in true }
  /// Which identities may connect to us, asked during the handshake.
  public var acceptsPeer: (PublicKey) -> Bool = { _ in true }
  /// Datagrams that are not QUIC. Valid during the call.
  public var onForeignDatagram: ((ReceivedDatagram, Instant) -> Void)?

  let chunks = ChunkPool()
  let packets = PacketMemory()
  let turns = FairTurns()
  private var credentials: Credentials
  let secrets: EndpointSecrets
  var sockets = SocketTable()
  var routes: [ConnectionID: ConnectionCore] = [:]
  var resetRoutes: [ResetToken: ConnectionCore] = [:]
  private var timers: [ObjectIdentifier: LoopTimer] = [:]
  /// Connections by identity, so that the endpoint keeps them alive.
  private var connections: [ObjectIdentifier: ConnectionCore] = [:]
  /// Accepted connections whose handshake is not done. One that failed counts until it is
  /// forgotten: it holds memory while it closes, and failing at once must not get round the limit.
  private var handshakes: [ObjectIdentifier: SocketAddress] = [:]
  private var handshakeSources = SourceTally()
  private var connectionsAdopted: UInt64 = 0
  var dirty: [ConnectionCore] = []
  var isQueued = false
  var blocked = BlockedConnections()
  private var stateless: StatelessResponder
  var memory = ClientMemory()
  private var isClosed = false
  /// Itself, from `close` until the last connection is gone and the sockets are released, whether
  /// or not anybody else still holds it.
  private var closing: EndpointCore?
  private var trimTimer: LoopTimer?

  /// - Throws: `QuicError.configuration` when the identity or a certificate file cannot be used.
  public init(loop: any EventLoop, settings: EndpointSettings) throws(QuicError) {
    self.loop = loop
    self.settings = settings
    connectionsMax = settings.connectionsMax
    credentials = try Credentials(settings.authentication)
    secrets = EndpointSecrets(resetKey: settings.resetKey)
    stateless = StatelessResponder(secrets: secrets, shard: settings.shard, now: loop.now)
  }

  /// Shows this certificate to clients from now on, in place of what the settings name.
  public func show(_ certificate: TLSStreamCredentials) {
    credentials = Credentials(showing: certificate)
  }

  /// Adds a socket; several may be used at once, told apart by their local port.
  public func add(_ socket: any DatagramSocket) {
    sockets.add(socket)
    socket.receiver = self
  }

  /// The address that datagrams to `remote` would come from.
  public func sourceAddress(towards remote: SocketAddress) -> SocketAddress? {
    sockets.all.first?.sourceAddress(towards: remote)
  }

  /// Whether `socket` is one of this endpoint's.
  public func has(_ socket: any DatagramSocket) -> Bool {
    sockets.has(socket)
  }

  /// Takes a socket away again; its owner closes it.
  public func remove(_ socket: any DatagramSocket) {
    sockets.remove(socket)
  }

  /// Where peers can reach us.
  public var localAddresses: [SocketAddress] { sockets.all.map(\.localAddress) }

  /// Connections that are not closed yet, handshakes included.
  public var connectionCount: Int { connections.count }

  /// Connections that were accepted and whose handshake is not done.
  public var handshakeCount: Int { handshakes.count }

  /// Begins a connection; its delegate hears `connectionReady` or `connection(_:closed:)`, at the
  /// end of this tick at the earliest.
  public func connect(
    to target: ConnectTarget, delegate: (any ConnectionDelegate)?
  ) throws(QuicError) -> ConnectionCore {
    guard let socket = sockets.all.first else { throw .configuration("the endpoint has no socket") }
    guard settings.authentication.canJudge(target) else {
      throw .configuration("the target names nobody who could be told from an impostor")
    }
    let path = NetworkPath(
      local: socket.sourceAddress(towards: target.address), remote: target.address)
    return try connect(to: target, over: path, delegate: delegate)
  }

  /// The same over a path of the caller's choice, such as a carrier's.
  public func connect(
    to target: ConnectTarget, over path: NetworkPath, delegate: (any ConnectionDelegate)?
  ) throws(QuicError) -> ConnectionCore {
    let name = target.expectedPeer?.description ?? target.serverName ?? target.address.host
    let role = ConnectionRole.client(
      ConnectionRole.Client(
        version: settings.transport.initialVersion, token: memory.takeToken(for: name)))
    let tls = tlsParameters(
      applicationProtocols: target.applicationProtocol.map { [$0] },
      serverName: target.serverName, expectedPeer: target.expectedPeer,
      resumption: settings.usesSessionTickets ? memory.takeTicket(for: name) : nil)
    let connection = try ConnectionCore(
      role: role, path: path, settings: settings.transport, tls: tls, host: self, now: now)
    connection.rememberedAs = name
    connection.delegate = delegate
    adopt(connection)
    return connection
  }

  /// Closes every connection with `code` and releases the sockets after the farewells left.
  public func close(code: UInt64, reason: String) {
    guard !isClosed else { return }
    isClosed = true
    closing = self
    for connection in connectionsInOrder {
      connection.close(code: code, reason: reason)
    }
    releaseIfDone()
  }

  /// Releases the sockets and timers. Connections that are still open vanish without a word.
  public func shutDown() {
    isClosed = true
    for connection in connectionsInOrder { connection.abandon(.idleTimeout) }
    for timer in timers.values { loop.cancel(timer) }
    if let trimTimer { loop.cancel(trimTimer) }
    releaseSockets()
  }

  private func releaseSockets() {
    for socket in sockets.all { socket.close() }
    sockets.removeAll()
    closing = nil
  }

  /// By age: the order of a dictionary differs from run to run, and with it a whole simulation.
  private var connectionsInOrder: [ConnectionCore] {
    connections.values.sorted { $0.serial < $1.serial }
  }

  private func adopt(_ connection: ConnectionCore) {
    let key = ObjectIdentifier(connection)
    connectionsAdopted += 1
    connection.serial = connectionsAdopted
    connections[key] = connection
    timers[key] = LoopTimer { [weak connection] now in
      connection?.handleTimeout(now: now)
    }
    needsFlush(connection)
  }

  private func tlsParameters(
    applicationProtocols: [String]? = nil, serverName: String?, expectedPeer: PublicKey?,
    resumption: [UInt8]?
  ) -> TLSParameters {
    TLSParameters(
      credentials: credentials,
      applicationProtocols: applicationProtocols ?? settings.applicationProtocols,
      serverName: serverName, expectedPeer: expectedPeer, acceptsPeer: acceptsPeer,
      allowsKeyLog: settings.allowsKeyLog,
      ticketKey: settings.usesSessionTickets ? secrets.ticketKey : nil, resumption: resumption,
      ciphers: settings.ciphers)
  }
}

// MARK: - Receiving

extension EndpointCore: DatagramReceiver {
  /// Decides about one datagram; see the list above.
  public func receive(_ datagram: ReceivedDatagram, now: Instant) {
    // F11: an empty datagram aborts ngtcp2 1.11's parser.
    guard let first = datagram.bytes.first else { return }
    if first & 0xc0 == 0 {
      onForeignDatagram?(datagram, now)
      return
    }
    guard datagram.bytes.count >= Self.packetSizeMin else { return }
    var header = ngtcp2_version_cid()
    let bytes = datagram.bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
    let result = ngtcp2_pkt_decode_version_cid(
      &header, bytes, datagram.bytes.count, ConnectionID.issuedCount)
    switch result {
    case 0:
      // Version Negotiation is of no version, so its IDs were not checked: 255 bytes are possible.
      guard header.dcidlen <= ConnectionID.countMax else { return }
      let id = ConnectionID(UnsafeRawBufferPointer(start: header.dcid, count: header.dcidlen))
      // One that is over takes nothing: else a spoilt first packet, which ends what it began, would
      // take the honest one behind it along when both arrive in one tick.
      if let connection = routes[id], !connection.state.isClosed {
        turns.take(datagram, for: connection, now: now)
      } else {
        receiveUnrouted(datagram, header, id, now: now)
      }
    case NGTCP2_ERR_VERSION_NEGOTIATION:
      negotiateVersion(datagram, header, now: now)
    default: break
    }
  }

  /// Whether packets of somebody who sends too many are set aside.
  public var takesMore: Bool { turns.isBusy }

  /// Lets those write again that could not.
  public func datagramSocketWritable(_ socket: any DatagramSocket) {
    for connection in blocked.takeAll() { needsFlush(connection) }
  }

  private func receiveUnrouted(
    _ datagram: ReceivedDatagram, _ header: ngtcp2_version_cid, _ id: ConnectionID, now: Instant
  ) {
    if datagram.bytes[0] & 0x80 == 0 {
      // A stateless reset looks like a packet to some unknown ID. ngtcp2 checks it once more, with
      // the path.
      if let token = ResetToken(endOf: datagram.bytes), let connection = resetRoutes[token] {
        connection.receive(datagram, now: now)
      } else {
        answer(datagram, stateless.reset(to: datagram, id, now: now))
      }
    } else if header.version == 0 {
      // RFC 9000 §6.1: Version Negotiation is never answered with Version Negotiation.
      return
    } else if !settings.transport.versions.contains(QuicVersion(number: header.version)) {
      // ngtcp2 knows the version, but the settings leave it out.
      negotiateVersion(datagram, header, now: now)
    } else if settings.acceptsConnections, !isClosed {
      accept(datagram, now: now)
    }
  }

  private func negotiateVersion(
    _ datagram: ReceivedDatagram, _ header: ngtcp2_version_cid, now: Instant
  ) {
    guard settings.acceptsConnections, !isClosed,
      datagram.bytes.count >= Self.versionNegotiationMin
    else { return }
    answer(datagram, stateless.versionNegotiation(to: datagram, header, settings, now: now))
  }

  private func accept(_ datagram: ReceivedDatagram, now: Instant) {
    var header = ngtcp2_pkt_hd()
    let bytes = datagram.bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
    guard ngtcp2_accept(&header, bytes, datagram.bytes.count) == 0,
      // RFC 9000 §7.2; ngtcp2 asks for it only where there is no token.
      header.dcid.datalen >= ConnectionID.initialCountMin
    else { return }
    guard connections.count < connectionsMax,
      handshakes.count < settings.handshakesMax, admits(datagram.path)
    else { return }
    let mustRetry = settings.retry == .always || isUnderLoad(from: datagram.path)
    switch stateless.judgeToken(header, datagram, mustRetry: mustRetry, now: now) {
    case .accept(let server): accept(datagram, server, now: now)
    case .answer(let packet): answer(datagram, packet)
    }
  }

  /// Whether clients must prove their address first. Those whose socket has done so need not: they
  /// get in while forged packets use up all answers.
  private func isUnderLoad(from path: NetworkPath) -> Bool {
    guard
      handshakes.count >= Self.handshakesBeforeRetry
        || handshakeSources.count(of: path.remote) >= Self.handshakesOfSourceBeforeRetry
    else { return false }
    return sockets.socket(for: path.local)?.provesSource != true
  }

  private func accept(
    _ datagram: ReceivedDatagram, _ server: ConnectionRole.Server, now: Instant
  ) {
    let tls = tlsParameters(serverName: nil, expectedPeer: nil, resumption: nil)
    // The only failure is memory: the client will try again.
    guard
      let connection = try? ConnectionCore(
        role: .server(server), path: datagram.path, settings: settings.transport, tls: tls,
        host: self, now: now)
    else { return }
    onIncoming?(connection)
    handshakes[ObjectIdentifier(connection)] = datagram.path.remote
    handshakeSources.add(datagram.path.remote)
    adopt(connection)
    connection.receive(datagram, now: now)
  }

  private func answer(_ datagram: ReceivedDatagram, _ packet: [UInt8]?) {
    guard let packet, !packet.isEmpty else { return }
    packet.withUnsafeBytes { bytes in
      _ = send(
        DatagramBatch(
          bytes: bytes, segmentSize: bytes.count, path: datagram.path, ecn: .notCapable))
    }
  }

  /// The shortest packet that may carry a stateless reset (RFC 9000 §10.3).
  private static let packetSizeMin = 21
  private static let handshakesBeforeRetry = 256
  /// Fewer than any limit of the layers above for one source: whoever sends under the address of
  /// another cannot use up what that one is granted.
  private static let handshakesOfSourceBeforeRetry = 16
  /// RFC 9000 §6.1: what is smaller may be too short for any version's first packet.
  private static let versionNegotiationMin = 1_200
}

// MARK: - Flushing

extension EndpointCore: TickMember {
  /// Delivers events and sends packets of every connection with news.
  public func endOfTick(now: Instant) {
    isQueued = false
    // Delivering may make others dirty: they join the list and are flushed in this tick as well.
    // Each connection stays marked until its flush, so that it is flushed once.
    var index = 0
    while index < dirty.count {
      dirty[index].deliver()
      index += 1
    }
    let batch = dirty
    dirty.removeAll(keepingCapacity: true)
    for connection in batch {
      connection.isDirty = false
      if isBlocked(connection) {
        connection.dropLateDatagrams(now: now)
        blocked.add(connection)
      } else if !connection.transmit(now: now) {
        blocked.add(connection)
      }
      // What came up while delivering or writing is told in the next tick, which follows at once.
      if connection.hasEvents { needsFlush(connection) }
      settle(connection, now: now)
    }
    trimLater(now: now)
    if turns.begin(now: now) { queueFlush() }
  }

  /// After a burst, its memory goes back to the system as soon as it is quiet.
  private func trimLater(now: Instant) {
    guard trimTimer == nil, chunks.bytesReleased >= Self.trimBytes else { return }
    let timer = LoopTimer { [weak self] now in
      guard let self else { return }
      trimTimer = nil
      if chunks.bytesInUse < Self.trimBytes { chunks.trim() } else { trimLater(now: now) }
    }
    trimTimer = timer
    loop.schedule(timer, at: now + Self.trimDelay)
  }

  private static let trimBytes = 4 * 1024 * 1024
  private static let trimDelay = Duration.seconds(1)

  /// Arms the timer for what comes next, or forgets the connection.
  private func settle(_ connection: ConnectionCore, now: Instant) {
    let key = ObjectIdentifier(connection)
    guard let timer = timers[key] else { return }
    if case .open = connection.state { forgetHandshake(key) }
    if connection.state.isClosed {
      guard !connection.hasEvents else { return }
      forgetHandshake(key)
      loop.cancel(timer)
      timers[key] = nil
      connections[key] = nil
      blocked.remove(connection)
      connection.unrouteAll()
      releaseIfDone()
      return
    }
    let deadline = connection.deadline
    if deadline == .distantFuture {
      loop.cancel(timer)
    } else if !timer.isArmed || timer.deadline != deadline {
      loop.schedule(timer, at: deadline)
    }
    connection.router?.tickEnded(now: now)
  }

  private func forgetHandshake(_ key: ObjectIdentifier) {
    if let remote = handshakes.removeValue(forKey: key) { handshakeSources.remove(remote) }
  }

  private func releaseIfDone() {
    guard isClosed, connections.isEmpty else { return }
    releaseSockets()
  }

  /// Whether the socket of `path` takes nothing for now, or does not exist any more.
  public func isBlocked(_ path: NetworkPath) -> Bool {
    sockets.socket(for: path.local)?.isBlocked ?? true
  }

  private func isBlocked(_ connection: ConnectionCore) -> Bool {
    // What is over has but its farewell to send, and knows where to.
    guard connection.state.isLive else { return false }
    return connection.router?.isBlocked ?? isBlocked(connection.currentPath)
  }
}
