internal import CNgtcp2

extension ConnectionCore {
  // MARK: For the owner

  /// Opens a stream. The peer learns of it with its first bytes.
  ///
  /// - Throws: `StreamError.limitReached` while the peer allows no more;
  ///   `connectionAllowsStreams` tells when it does.
  public func openStream(unidirectional: Bool) throws(StreamError) -> StreamCore {
    guard case .open = state else { throw .connectionLost(ending ?? .idleTimeout) }
    var number: Int64 = 0
    let result =
      unidirectional
      ? ngtcp2_conn_open_uni_stream(handle, &number, nil)
      : ngtcp2_conn_open_bidi_stream(handle, &number, nil)
    guard result == 0 else { throw .limitReached }
    return adopt(StreamID(number: number))
  }

  /// Queues a DATAGRAM frame (RFC 9221); it may be lost, and is never sent again.
  public func sendDatagram(_ bytes: [UInt8]) throws(DatagramError) {
    let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
    let result = bytes.withUnsafeBytes { bytes -> Result<Void, DatagramError> in
      Result { () throws(DatagramError) in try sendDatagram(nothing, bytes) }
    }
    try result.get()
  }

  /// Queues two pieces as one DATAGRAM frame. A full queue drops its oldest, and while congestion
  /// control closes the window, what has waited for too long is dropped (RFC 9221 §5.4): see
  /// `TransportSettings.datagramAgeMax`.
  public func sendDatagram(
    _ header: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer
  ) throws(DatagramError) {
    guard case .open = state else { throw .connectionLost(ending ?? .idleTimeout) }
    let count = header.count + payload.count
    guard count > 0 else { throw .empty }
    let sizeMax = datagramSizeMax
    guard sizeMax > 0 else { throw .unsupported }
    guard count <= sizeMax else { throw .tooLarge(max: sizeMax) }
    datagrams.append(header, payload, now: now)
    markDirty()
  }

  /// The largest datagram that fits a packet on the current path and that the peer takes; 0 when
  /// it takes none. It changes with the path and what is found out about it: ask each time.
  public var datagramSizeMax: Int {
    guard state.isLive,
      let peer = ngtcp2_conn_get_remote_transport_params(handle)?.pointee,
      peer.max_datagram_frame_size > 0
    else { return 0 }
    // Short header: flags, destination ID, packet number, tag (RFC 9000 §17.3), then the frame's
    // type and length.
    let overhead = 1 + ngtcp2_conn_get_dcid(handle).pointee.datalen + 4 + 16 + 1 + 4
    let packet = ngtcp2_conn_get_path_max_tx_udp_payload_size(handle) - overhead
    return max(0, min(packet, Int(clamping: peer.max_datagram_frame_size) - 5))
  }

  // MARK: For streams

  func queueForSending(_ stream: StreamCore) {
    guard state.isLive else { return }
    scheduler.enqueue(stream)
    markDirty()
  }

  /// Sends RESET_STREAM or STOP_SENDING.
  func shutdown(_ stream: StreamCore, reading: Bool, code: UInt64) {
    guard state.isLive else { return }
    let code = min(code, Self.codeMax)
    // A stream that ngtcp2 closed already needs neither; that is its only other result.
    _ =
      reading
      ? ngtcp2_conn_shutdown_stream_read(handle, 0, stream.id.number, code)
      : ngtcp2_conn_shutdown_stream_write(handle, 0, stream.id.number, code)
    markDirty()
  }

  private func adopt(_ id: StreamID) -> StreamCore {
    let stream = StreamCore(
      id: id, connection: self, pool: host?.chunks ?? ChunkPool(), now: now)
    streams[id] = stream
    // SAFETY: `streams` keeps it until stream_close, after which ngtcp2 forgets the pointer.
    ngtcp2_conn_set_stream_user_data(
      handle, id.number, Unmanaged.passUnretained(stream).toOpaque())
    return stream
  }

  // MARK: From callbacks

  func streamOpened(_ id: StreamID) {
    work.chargeStream()
    events.append(.opened(adopt(id)))
  }

  func streamReceived(_ stream: StreamCore, _ bytes: UnsafeRawBufferPointer, fin: Bool) {
    let held = stream.receive(bytes, fin: fin)
    if held > 0 {
      noteBuffered(held)
    } else if bytes.count > 0 {
      // Dropped on arrival: consumed as far as the connection is concerned.
      noteBuffered(bytes.count)
      noteConsumedInCallback(bytes.count)
    }
    if fin { stream.events.insert(.readable) }
    list(stream)
  }

  func streamReset(_ stream: StreamCore, code: UInt64) {
    stream.resetCode = code
    stream.noteBrokenByPeer()
    stream.events.insert(.reset)
    stream.receiveClosed = true
    let dropped = stream.receiveBuffer.removeAll()
    if dropped > 0 { noteConsumedInCallback(dropped) }
    list(stream)
  }

  /// The peer asked us to stop sending; ngtcp2 resets the stream for us (RFC 9000 §3.5).
  func streamStopped(_ stream: StreamCore, code: UInt64) {
    // The frame may come twice, or cross our reset, or be about bytes that the peer has already.
    guard !stream.sendClosed, !stream.isSentCompletely else { return }
    stream.stopCode = code
    stream.noteBrokenByPeer()
    stream.sendClosed = true
    stream.events.insert(.stopped)
    list(stream)
  }

  func streamUnblocked(_ stream: StreamCore) {
    guard stream.sendState == .blocked else { return }
    stream.sendState = .idle
    if stream.hasUnsent { scheduler.enqueue(stream) }
  }

  func streamClosed(_ stream: StreamCore) {
    counters.packetsLost += UInt64(ngtcp2_conn_get_stream_loss_count(handle, stream.id.number))
    streams[stream.id] = nil
    stream.sendClosed = true
    unsentBytes -= stream.sendBuffer.unsentCount
    stream.sendBuffer.removeAll()
    stream.markClosed(nil)
    list(stream)
  }

  /// Credit must not be granted from within a callback; the flush at the end of the tick does.
  private func noteConsumedInCallback(_ amount: Int) {
    flow.consume(amount, roundTrip: .zero, now: now)
  }

  // MARK: Numbers

  /// How the connection is doing, counted from its start.
  public var statistics: ConnectionStatistics {
    var statistics = counters
    statistics.datagramFramesDropped = datagrams.droppedCount + datagramsArrived.droppedCount
    guard state.isLive else { return statistics }
    let info = self.info
    statistics.latestRTT = .nanoseconds(Int64(clamping: info.latest_rtt))
    statistics.smoothedRTT = .nanoseconds(Int64(clamping: info.smoothed_rtt))
    statistics.minimumRTT = .nanoseconds(Int64(clamping: info.min_rtt))
    statistics.congestionWindow = Int(clamping: info.cwnd)
    statistics.bytesInFlight = Int(clamping: info.bytes_in_flight)
    statistics.pathMTU = ngtcp2_conn_get_path_max_tx_udp_payload_size(handle)
    for id in streams.keys {
      statistics.packetsLost += UInt64(ngtcp2_conn_get_stream_loss_count(handle, id.number))
    }
    return statistics
  }

  /// Bytes that were sent, ask for an acknowledgement, and are neither acknowledged nor lost.
  public var bytesInFlight: Int { state.isLive ? Int(clamping: info.bytes_in_flight) : 0 }

  /// Bytes of the largest packets that go out now.
  public var packetSizeMax: Int {
    state.isLive ? ngtcp2_conn_get_path_max_tx_udp_payload_size(handle) : 0
  }

  /// The path that packets take now.
  public var currentPath: NetworkPath {
    guard state.isLive, let path = ngtcp2_conn_get_path(handle) else { return self.path.path }
    return PathStorage.load(path.pointee)
  }

  /// The identity that the peer proved with its raw public key.
  public var peer: PublicKey? { tls?.peer }

  /// The negotiated application protocol (RFC 7301).
  public var applicationProtocol: String? { tls?.applicationProtocol }

  /// The version in use, once negotiated.
  public var version: QuicVersion? {
    guard state.isLive else { return nil }
    let number = ngtcp2_conn_get_negotiated_version(handle)
    return number == 0 ? nil : QuicVersion(number: number)
  }

  /// True when TLS took a session ticket instead of a full handshake.
  public var isResumed: Bool { tls?.isResumed ?? false }

  /// The negotiated cipher, as GnuTLS calls it.
  public var cipherName: String { tls?.cipherName ?? "" }

  /// Bytes that only the two ends know (RFC 8446 §7.5): proofs are bound to them.
  public func exportKeyingMaterial(label: String, context: [UInt8], count: Int) -> [UInt8]? {
    guard case .open = state else { return nil }
    return tls?.exportKeyingMaterial(label: label, context: context, count: count)
  }

  // MARK: Path and keys

  /// Moves a client to another path at once (RFC 9000 §9.2), validating it while in use.
  ///
  /// - Returns: false while that is not possible: on a server, before the handshake is confirmed,
  ///   or when the peer has issued no spare connection ID.
  public func migrate(to path: NetworkPath) -> Bool {
    guard case .open = state, !isServer else { return false }
    let storage = PathStorage(path)
    let result = ngtcp2_conn_initiate_immediate_migration(
      handle, storage.pointer, now.nanoseconds)
    markDirty()
    return result == 0
  }

  /// Starts a key update (RFC 9001 §6); false while the last one is not confirmed, and on a server,
  /// which follows (F14).
  public func updateKeys() -> Bool {
    // ngtcp2 aborts when it is asked before it has left the handshake itself.
    guard case .open = state, hasLeftHandshake, !isServer else { return false }
    defer { markDirty() }
    return ngtcp2_conn_initiate_key_update(handle, now.nanoseconds) == 0
  }
}
