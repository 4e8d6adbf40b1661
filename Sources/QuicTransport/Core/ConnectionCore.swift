internal import CNgtcp2

/// The sans-I/O half of a QUIC connection: the owner of one `ngtcp2_conn` and its TLS session.
///
/// It takes datagrams, deadlines and stream operations, and hands packets to its host. Every
/// mutation is followed by one flush at the end of the tick; nothing is sent in direct reaction to
/// a packet. C callbacks translate and append only; `deliver` tells the delegates afterwards.
///
///     handshaking --> open --> closing  --3 PTO--> closed
///          |            |----> draining --3 PTO--> closed
///          '-- timeout, drop, reset -------------> closed
public final class ConnectionCore {
  /// Whether the peer dialled.
  public let isServer: Bool
  /// Told what happens; set it before the tick ends in which the connection began.
  public weak var delegate: (any ConnectionDelegate)?
  /// What this side granted and asked for.
  public let settings: TransportSettings

  /// Decides on the roads of a session that has several; nil for plain QUIC over UDP. Held until the
  /// router lets go, or the connection is closed.
  public var router: (any PathRouter)?

  /// Whether the search for larger packets waits until something would fill one: for a road on which
  /// the session may not stay, and where each probe is paid for by others. Ends by itself.
  public var waitsForLoad = false { didSet { if oldValue, !waitsForLoad { markDirty() } } }

  weak var host: (any ConnectionHost)?
  private(set) var tls: TLSSession?
  /// The server name or identity under which tickets are remembered (clients).
  var rememberedAs = ""
  /// Its age among the connections of its host: the oldest has the smallest.
  var serial: UInt64 = 0
  var state = State.handshaking
  /// Both identities were confirmed, and the delegate knows.
  private var isAdmitted = false
  var events: [Event] = []
  var streams: [StreamID: StreamCore] = [:]
  /// Streams with something to deliver.
  var listed: [StreamCore] = []
  var scheduler = StreamScheduler()
  /// Bytes of all streams that were written and not sent yet.
  var unsentBytes = 0
  /// DATAGRAM frames that wait for a packet, and those that wait for `deliver`.
  var datagrams: DatagramQueue
  var datagramsArrived: DatagramQueue
  var datagramTurns = DatagramTurns()
  var counters = ConnectionStatistics()
  var cryptoGuard: CryptoGuard
  var earlyGuard = EarlyPacketGuard()
  /// What a client takes for the server's first answer.
  var firstAnswer = FirstAnswerGuard()
  /// Until a client has answered the handshake's last flight (F2).
  var holdsEarlyPackets: Bool
  /// ngtcp2 itself has left the handshake, which may be later than TLS has.
  var hasLeftHandshake = false
  /// Set while the host has this connection in its list for the end of the tick.
  var isDirty = false
  /// A packet was read. Before that, a server has no keys, and ngtcp2 aborts when it is to write.
  private(set) var hasRead = false
  /// A packet came from another path: its response must not be coalesced (ngtcp2 1.11 then leaves
  /// the padding of RFC 9000 §8.2.2 out).
  var sawOtherPath = false
  /// Where a server's client is, and whether it was asked there.
  var whereabouts: PeerWhereabouts
  /// STOP_SENDING frames of the packet being read; bounded by its size.
  var stopNotices: [(StreamID, code: UInt64)] = []
  /// A packet that was written when the socket had become full.
  var stranded: StrandedPacket?
  /// An error found inside a callback, to be used instead of CALLBACK_FAILURE.
  var callbackError: CallbackError?
  /// Versions that a Version Negotiation packet offered.
  var offeredVersions: [UInt32] = []
  var gotStatelessReset = false
  /// The packet being read had something in it that only the peer can have written, and only once.
  var hasNews = false
  /// Since when its owner has it wait for the road to come back.
  var suspendedSince: Instant?
  /// Why it is over.
  var ending: QuicError?
  /// The IDs under which the host routes packets here.
  var routes: Set<ConnectionID> = []
  /// The tokens under which it routes stateless resets here; as many as peer IDs are in use.
  var resetRoutes: Set<ResetToken> = []
  let path: PathStorage
  let sendingPath: UnsafeMutablePointer<ngtcp2_path_storage>

  private var connection: OpaquePointer?
  private(set) var lastNow: Instant
  var flow: ConnectionFlow
  private var streamCredit: StreamCredit
  /// What its packets have cost in this turn, and those that wait for another one.
  var work = WorkBudget()
  var backlog: DatagramQueue?
  var frameLimit: FrameLimit
  /// What its delegates may do in this tick, for datagrams and then for streams.
  private var delivery = DeliveryBudget()
  var closePacket: ClosePacket?
  private let connectionID: ConnectionID
  /// What a client uses at the server's preferred address.
  private let preferredID: ConnectionID?

  // MARK: Creating

  /// Sets up a connection; the caller then has it flushed, which for a client sends the Initial.
  init(
    role: ConnectionRole, path: NetworkPath, settings: TransportSettings, tls: TLSParameters,
    host: any ConnectionHost, now: Instant
  ) throws(QuicError) {
    isServer = role.isServer
    holdsEarlyPackets = !role.isServer
    self.settings = settings
    self.host = host
    self.path = PathStorage(path)
    whereabouts = PeerWhereabouts(path)
    lastNow = now
    cryptoGuard = CryptoGuard(isServer: role.isServer)
    datagrams = DatagramQueue(bytesMax: settings.datagramBytesQueuedMax)
    datagramsArrived = DatagramQueue(bytesMax: settings.datagramBytesQueuedMax)
    flow = ConnectionFlow(settings: settings, now: now)
    streamCredit = StreamCredit(rate: settings.brokenStreamsPerSecond, now: now)
    frameLimit = FrameLimit(now: now)
    connectionID = host.makeConnectionID()
    preferredID =
      role.isServer && settings.preferredAddress != nil ? host.makeConnectionID() : nil
    sendingPath = .allocate(capacity: 1)
    sendingPath.initialize(to: ngtcp2_path_storage())
    ngtcp2_path_storage_zero(sendingPath)
    let result = makeConnection(role, now: now)
    guard result == 0 else {
      throw .configuration("ngtcp2 refused the settings: \(Self.text(result))")
    }
    let session = try TLSSession(tls, isServer: isServer, owner: self)
    self.tls = session
    ngtcp2_conn_set_tls_native_handle(handle, UnsafeMutableRawPointer(session.handle))
    if let interval = settings.keepAliveInterval {
      ngtcp2_conn_set_keep_alive_timeout(handle, interval.wholeNanoseconds)
    }
    host.route(connectionID, to: self)
    if let preferredID { host.route(preferredID, to: self) }
    // Until the client saw our ID it uses the one it made up.
    if let id = role.initialDestination { host.route(id, to: self) }
  }

  deinit {
    if let connection { ngtcp2_conn_del(connection) }
    sendingPath.deallocate()
  }

  /// Finds the connection in a C callback. It cannot be gone: it owns what is calling.
  @inline(__always)
  static func from(_ userData: UnsafeMutableRawPointer?) -> ConnectionCore {
    // SAFETY: every `user_data` we hand out is an unretained ConnectionCore that outlives its
    // ngtcp2_conn and GnuTLS session.
    Unmanaged<ConnectionCore>.fromOpaque(userData.unsafelyUnwrapped).takeUnretainedValue()
  }

  var handle: OpaquePointer {
    guard let connection else { preconditionFailure("used before init ended") }
    return connection
  }

  /// The host's clock, which never runs backwards: ngtcp2 aborts when it does (F5).
  var now: Instant { advance(to: host?.now ?? lastNow) }

  private func makeConnection(_ role: ConnectionRole, now: Instant) -> Int32 {
    var configuration = NgConfiguration(settings, role: role, scid: connectionID, now: now)
    if let host, let preferredID, let address = settings.preferredAddress {
      let token = host.resetToken(for: preferredID)
      configuration.prefer(address, id: preferredID, resetToken: token)
    }
    let userData = Unmanaged.passUnretained(self).toOpaque()
    return configuration.withPointers { settings, parameters in
      var callbacks = ConnectionCallbacks.table
      var scid = connectionID.cid
      switch role {
      case .client(let client):
        var dcid = ConnectionID.random(shard: 0).cid
        return qtun_conn_client_new(
          &connection, &dcid, &scid, path.pointer, client.version.number, &callbacks, settings,
          parameters, userData)
      case .server(let server):
        var dcid = server.clientID.cid
        if let host {
          let token = host.resetToken(for: connectionID)
          let bytes = qtun_reset_token_bytes(parameters)
          for (index, byte) in token.enumerated() { bytes?[index] = byte }
          parameters.pointee.stateless_reset_token_present = 1
        }
        return qtun_conn_server_new(
          &connection, &dcid, &scid, path.pointer, server.version, &callbacks, settings,
          parameters, userData)
      }
    }
  }

  /// This side has closed it, and nothing more is heard.
  public var isClosing: Bool { if case .closing = state { true } else { false } }

  /// Nothing is sent or received any more, whoever has closed it.
  public var isOver: Bool { !state.isLive }

  /// Something waits for `deliver`.
  var hasEvents: Bool { !events.isEmpty || !listed.isEmpty || !datagramsArrived.isEmpty }

  func unrouteAll() {
    for id in routes { host?.unroute(id) }
    for token in resetRoutes { host?.unroute(token, from: self) }
  }

  /// Has this connection delivered and flushed at the end of the tick. Once per packet, so the host
  /// is looked up only if it does not know yet.
  func markDirty() {
    if !isDirty { host?.needsFlush(self) }
  }

  /// Sends by the router, if there is one, else on the path that the batch names.
  func send(_ batch: DatagramBatch) -> SendResult {
    if let router { return router.send(batch) }
    return host?.send(batch) ?? .sent
  }

  @discardableResult
  func advance(to now: Instant) -> Instant {
    lastNow = max(lastNow, now)
    return lastNow
  }

  /// In a C callback: the peer has bytes of a stream.
  func noteAcknowledged() {
    counters.lastAcknowledged = lastNow
  }

  static func text(_ code: Int32) -> String {
    String(cString: ngtcp2_strerror(code))
  }
}

// MARK: - Input

extension ConnectionCore {
  /// Takes a datagram that was routed here.
  func receive(_ datagram: ReceivedDatagram, now: Instant) {
    var datagram = datagram
    let road = datagram.path
    if let router {
      guard let label = router.label(for: datagram.path) else { return }
      datagram.path = label
    }
    counters.datagramsReceived += 1
    counters.bytesReceived += UInt64(datagram.bytes.count)
    markDirty()
    switch state {
    case .handshaking, .open: break
    case .closing:
      answerWithClose(to: road, byteCount: datagram.bytes.count)
      return
    case .draining, .closed: return
    }
    var bytes = datagram.bytes
    if holdsEarlyPackets {
      bytes = UnsafeRawBufferPointer(rebasing: bytes[..<earlyGuard.admit(datagram)])
    }
    guard !bytes.isEmpty else { return }
    hasNews = false
    read(bytes, datagram.path, datagram.ecn, now: now)
    if holdsEarlyPackets { noteServer(of: bytes, now: now) }
    if hasNews { router?.peerProved(on: road, byteCount: bytes.count) }
  }

  func read(
    _ bytes: UnsafeRawBufferPointer, _ from: NetworkPath, _ ecn: ECN, now: Instant
  ) {
    if from != path.path {
      sawOtherPath = true
      path.set(from)
    }
    let base = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
    hasRead = true
    work.chargeDatagram(byteCount: bytes.count)
    beginCalls()
    let result = qtun_conn_read(
      handle, path.pointer, settings.usesECN ? ecn.rawValue : 0, base, bytes.count,
      advance(to: now).nanoseconds)
    endCalls()
    frameLimit.endDatagram(now: lastNow)
    if frameLimit.isExceeded { callbackError = .tooManyFrames }
    if result != 0 || frameLimit.isExceeded { fail(result == 0 ? NGTCP2_ERR_PROTO : result) }
    if isServer, from != whereabouts.current { whereabouts.follow(currentPath) }
  }

  /// Makes this connection known to callbacks that ngtcp2 gives no user data.
  func beginCalls() {
    qtun_set_caller(Unmanaged.passUnretained(self).toOpaque())
  }

  /// Ends what `beginCalls` began and handles what the callbacks found.
  func endCalls() {
    qtun_set_caller(nil)
    guard !stopNotices.isEmpty else { return }
    for (id, code) in stopNotices {
      if let stream = streams[id] { streamStopped(stream, code: code) }
    }
    stopNotices.removeAll()
  }

  /// The next point at which `handleTimeout` has something to do.
  var deadline: Instant {
    switch state {
    case .handshaking, .open:
      suspendedSince.map(suspensionDeadline)
        ?? min(
          Instant(nanoseconds: ngtcp2_conn_get_expiry(handle)), streamCredit.deadline,
          firstAnswer.deadline)
    case .closing(let until): min(until, closePacket?.nextRepeat ?? until)
    case .draining(let until): until
    case .closed: .distantFuture
    }
  }

  /// The deadline has come.
  func handleTimeout(now: Instant) {
    let now = advance(to: now)
    switch state {
    case .handshaking where now >= firstAnswer.deadline: abandonDisputed()
    case .handshaking, .open:
      let result = ngtcp2_conn_handle_expiry(handle, now.nanoseconds)
      if result != 0 { fail(result) }
      if state.isLive { payStreamCredit(now: now) }
      if suspendedSince != nil { suspendedSince = now }
      markDirty()
    case .closing(let until), .draining(let until):
      if now >= until { retire() } else { repeatClose(now: now) }
    case .closed: break
    }
  }
}

// MARK: - Delivering

extension ConnectionCore {
  /// Tells the delegates what happened since the last tick. They may use streams at will.
  func deliver() {
    takeTicket()
    let events = self.events
    self.events.removeAll(keepingCapacity: true)
    var closed: QuicError?
    for event in events {
      switch event {
      case .ready: becomeReady()
      // A peer may send, and even close, in the same tick in which it is judged.
      case .opened where !isAdmitted: break
      case .opened(let stream): delegate?.connection(self, opened: stream)
      case .streamsAllowed: delegate?.connectionAllowsStreams(self)
      case .closed(let error): closed = error
      }
    }
    // The end comes last, so what is before it cannot wait for another tick.
    deliverDatagrams(all: closed != nil)
    deliverStreams(all: closed != nil)
    if let closed { delegate?.connection(self, closed: closed) }
  }

  private func deliverDatagrams(all: Bool) {
    guard !datagramsArrived.isEmpty else { return }
    guard isAdmitted, let delegate else { return datagramsArrived.removeAll() }
    // Nothing is read, and so nothing arrives, while the delegate is told.
    delivery.begin()
    while !datagramsArrived.isEmpty, all || !delivery.isSpent {
      datagramsArrived.withFirst { delegate.connection(self, received: $0) }
      datagramsArrived.removeFirst()
    }
    delegate.connectionDeliveredDatagrams(self)
  }

  private func deliverStreams(all: Bool) {
    delivery.begin()
    // What they list meanwhile is for the next tick.
    let waiting = listed.count
    var told = 0
    while told < waiting, all || !delivery.isSpent {
      delivery.chargeStream()
      listed[told].deliver()
      creditIfDone(listed[told])
      told += 1
    }
    listed.removeFirst(told)
  }

  /// Called by a delegate that is told of something: it took that much longer than to pass it on.
  public func chargeDelivery(_ time: Duration) {
    delivery.charge(time)
  }

  private func becomeReady() {
    // A resumed session skipped the verification (F9).
    guard state.isLive else { return }
    guard tls?.confirmPeer() == true else {
      ngtcp2_conn_set_tls_alert(handle, 49)
      fail(NGTCP2_ERR_CRYPTO)
      return
    }
    state = .open
    isAdmitted = true
    if isServer {
      tls?.sendTicket()
      if let token = host?.makeToken(for: path.path.remote) {
        _ = ngtcp2_conn_submit_new_token(handle, token, token.count)
      }
    }
    delegate?.connectionReady(self)
  }

  private func takeTicket() {
    guard let tls, let ticket = tls.newTicket else { return }
    tls.newTicket = nil
    host?.remember(ticket: ticket, of: self)
  }

  /// Lets the peer open another stream once both our sides are done with this one, not merely when
  /// QUIC is: that is what bounds a peer that opens and closes quickly.
  func creditIfDone(_ stream: StreamCore) {
    guard stream.takeStreamCredit(), state.isLive else { return }
    if streamCredit.grants(after: stream, now: now) {
      if stream.id.isUnidirectional {
        ngtcp2_conn_extend_max_streams_uni(handle, 1)
      } else {
        ngtcp2_conn_extend_max_streams_bidi(handle, 1)
      }
    }
    markDirty()
  }

  /// Grants what waited because too many streams came to nothing.
  private func payStreamCredit(now: Instant) {
    let due = streamCredit.takeDue(now: now)
    if due.bidirectional > 0 {
      ngtcp2_conn_extend_max_streams_bidi(handle, Int(due.bidirectional))
    }
    if due.unidirectional > 0 {
      ngtcp2_conn_extend_max_streams_uni(handle, Int(due.unidirectional))
    }
  }

  /// Puts `stream` on the list of those with events.
  func list(_ stream: StreamCore) {
    guard !stream.isListed else { return }
    stream.isListed = true
    listed.append(stream)
    markDirty()
  }
}

// MARK: - Flow control

extension ConnectionCore {
  /// The path's own round trip, without the queues on it; the initial guess before a sample.
  var roundTrip: Duration {
    let info = self.info
    return .nanoseconds(Int64(clamping: min(info.min_rtt, info.smoothed_rtt)))
  }

  func extendStream(_ id: StreamID, by amount: Int) {
    guard state.isLive else { return }
    // Fails only without memory; the stream then stalls and its peer notices.
    _ = ngtcp2_conn_extend_max_stream_offset(handle, id.number, UInt64(amount))
    markDirty()
  }

  /// In a C callback: `amount` bytes are held by some stream.
  func noteBuffered(_ amount: Int) {
    flow.buffer(amount)
  }

  /// `amount` held bytes were consumed or dropped.
  func noteConsumed(_ amount: Int) {
    flow.consume(amount, roundTrip: roundTrip, now: now)
    creditConnection()
  }

  /// Grants what `ConnectionFlow` says; outside of C callbacks.
  func creditConnection() {
    let credit = flow.takeCredit(stalledMax: host?.stalledBytesLeft ?? .max)
    guard credit > 0, state.isLive else { return }
    ngtcp2_conn_extend_max_offset(handle, UInt64(credit))
    markDirty()
  }

  var info: ngtcp2_conn_info {
    var info = ngtcp2_conn_info()
    qtun_conn_get_info(handle, &info)
    return info
  }
}
