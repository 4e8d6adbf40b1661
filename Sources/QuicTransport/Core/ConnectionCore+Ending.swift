internal import CNgtcp2

extension ConnectionCore {
  /// The largest error code, which travels as a varint (RFC 9000 §16); ngtcp2 aborts on a larger one.
  static let codeMax: UInt64 = (1 << 62) - 1

  /// Closes with an application code; the peer is told at once, with the first `reasonMax` bytes
  /// of the reason: one packet has to hold it. A server that closes before it has read anything, as
  /// from `EndpointCore.onIncoming`, cannot tell.
  public func close(code: UInt64, reason: String) {
    guard state.isLive else { return }
    let code = min(code, Self.codeMax)
    let ending = QuicError.application(code: code, isRemote: false, reason: reason)
    guard !isServer || hasRead else { return abandon(ending) }
    // What was decided before is said before: resets of streams, above all.
    _ = transmit(now: now)
    guard state.isLive else { return }
    var error = ngtcp2_ccerr()
    Self.withBytes(of: reason, limit: Self.reasonMax) { bytes in
      ngtcp2_ccerr_set_application_error(&error, code, bytes.baseAddress, bytes.count)
      end(ending, announcing: &error)
    }
  }

  /// Ends without a word to the peer, as when the process could not speak any more.
  func abandon(_ error: QuicError) {
    guard state.isLive else { return }
    finish(error)
    retire()
  }

  /// ngtcp2 returned an error: decides what the peer hears and what our side is told.
  func fail(_ code: Int32) {
    guard state.isLive else { return }
    switch code {
    case NGTCP2_ERR_DRAINING:
      let error = gotStatelessReset ? QuicError.statelessReset : remoteError()
      finish(error)
      state = .draining(until: now + closingPeriod)
    case NGTCP2_ERR_IDLE_CLOSE: abandon(.idleTimeout)
    case NGTCP2_ERR_HANDSHAKE_TIMEOUT: abandon(.handshakeTimeout)
    case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
      abandon(.versionMismatch(offered: offeredVersions))
    case NGTCP2_ERR_DROP_CONN, NGTCP2_ERR_RETRY:
      abandon(.transport(code: 0, isRemote: false, reason: Self.text(code)))
    default: announce(code)
    }
  }

  private func announce(_ code: Int32) {
    var error = ngtcp2_ccerr()
    var local: QuicError
    if let callbackError {
      let (code, reason) = callbackError.meaning
      ngtcp2_ccerr_set_transport_error(&error, code, nil, 0)
      local = .transport(code: code, isRemote: false, reason: reason)
    } else if code == NGTCP2_ERR_CRYPTO {
      let alert = ngtcp2_conn_get_tls_alert(handle)
      ngtcp2_ccerr_set_tls_alert(&error, alert == 0 ? Self.internalErrorAlert : alert, nil, 0)
      local = Self.meaning(ofTransportCode: error.error_code, isRemote: false, reason: "")
    } else {
      ngtcp2_ccerr_set_liberr(&error, code, nil, 0)
      local = .transport(code: error.error_code, isRemote: false, reason: Self.text(code))
    }
    if let rejection = tls?.rejection { local = rejection }
    end(local, announcing: &error)
  }

  /// Writes CONNECTION_CLOSE and keeps it for whatever still arrives (RFC 9000 §10.2.1).
  private func end(_ local: QuicError, announcing error: inout ngtcp2_ccerr) {
    var info = ngtcp2_pkt_info()
    let capacity = ClosePacket.sizeMax
    let bytes = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
      let written = qtun_conn_write_connection_close(
        handle, &sendingPath.pointee.path, &info, buffer.baseAddress, capacity, &error,
        now.nanoseconds)
      // Before there are keys, nothing can be said.
      count = max(0, written)
    }
    // The router will be gone when the packet is sent again, and the label be the name of nothing.
    let destination = router?.road ?? PathStorage.load(sendingPath.pointee.path)
    let timeout = probeTimeout
    // Only sessions have routers: the other end is one of ours.
    let repeats = router == nil ? [] : [now + timeout, now + timeout * 2]
    finish(local)
    if bytes.isEmpty {
      retire()
      return
    }
    let packet = ClosePacket(bytes: bytes, path: destination, ecn: mark(info), repeats: repeats)
    closePacket = packet
    state = .closing(until: now + closingPeriod)
    send(packet, to: destination)
  }

  /// A datagram arrived at a closed connection. The answer goes to where it came from: a peer whose
  /// address has changed could not be told at its former one.
  func answerWithClose(to road: NetworkPath, byteCount: Int) {
    guard let closePacket, closePacket.shouldAnswer(byteCount) else { return }
    send(closePacket, to: road)
  }

  /// The closing period is not over.
  func repeatClose(now: Instant) {
    guard let closePacket, closePacket.takeRepeat(now: now) else { return }
    send(closePacket, to: closePacket.path)
  }

  /// The socket takes datagrams again.
  func sendWaitingClose() {
    guard let closePacket, let road = closePacket.waitingFor, case .closing = state else { return }
    send(closePacket, to: road)
  }

  private func send(_ packet: ClosePacket, to road: NetworkPath) {
    // A full socket drops what it is given, and the peer would wait for its idle timeout.
    let isBlocked = router?.isBlocked ?? host?.isBlocked(road) ?? false
    packet.waitingFor = isBlocked ? road : nil
    if isBlocked {
      host?.waitsForSocket(self)
      return
    }
    packet.bytes.withUnsafeBytes { bytes in
      counters.datagramsSent += 1
      counters.bytesSent += UInt64(bytes.count)
      _ = send(
        DatagramBatch(bytes: bytes, segmentSize: bytes.count, path: road, ecn: packet.ecn))
    }
    markDirty()
  }

  /// Tells everyone, once, that the connection is over.
  private func finish(_ error: QuicError) {
    counters = statistics
    ending = error
    for stream in streams.values.sorted(by: { $0.id.number < $1.id.number }) {
      stream.markClosed(error)
      list(stream)
    }
    streams.removeAll()
    scheduler.removeAll()
    datagrams.removeAll()
    events.append(.closed(error))
    state = .draining(until: now)
    markDirty()
  }

  /// Nothing is answered any more; the host forgets the connection.
  func retire() {
    state = .closed
    router = nil
    markDirty()
  }

  private func remoteError() -> QuicError {
    guard let error = ngtcp2_conn_get_ccerr(handle)?.pointee else { return .idleTimeout }
    let reason = String(
      decoding: UnsafeBufferPointer(start: error.reason, count: error.reasonlen), as: UTF8.self)
    if error.type == NGTCP2_CCERR_TYPE_APPLICATION {
      return .application(code: error.error_code, isRemote: true, reason: reason)
    }
    return Self.meaning(ofTransportCode: error.error_code, isRemote: true, reason: reason)
  }

  /// RFC 9001 §4.8: 0x100 and the TLS alert (RFC 8446 §6.2).
  private static func meaning(ofTransportCode code: UInt64, isRemote: Bool, reason: String)
    -> QuicError
  {
    let certificateAlerts: Set<UInt64> = [42, 43, 44, 45, 46, 48, 49, 51, 116]
    if code == 0x100 + 120 { return .protocolMismatch }
    if isRemote, code > 0x100, certificateAlerts.contains(code - 0x100) {
      return .rejectedByPeer(alert: UInt8(code - 0x100))
    }
    return .transport(code: code, isRemote: isRemote, reason: reason)
  }

  /// RFC 9000 §10.2: at least three times the probe timeout.
  private var closingPeriod: Duration { probeTimeout * 3 }

  private var probeTimeout: Duration { .nanoseconds(Int64(clamping: ngtcp2_conn_get_pto(handle))) }

  /// Lends the longest start of `text` that ends with a whole character.
  private static func withBytes(
    of text: String, limit: Int, _ body: (UnsafeBufferPointer<UInt8>) -> Void
  ) {
    var text = text
    text.withUTF8 { bytes in
      var count = min(bytes.count, limit)
      while count > 0, count < bytes.count, bytes[count] & 0xc0 == 0x80 { count -= 1 }
      body(UnsafeBufferPointer(rebasing: bytes[..<count]))
    }
  }

  private static let reasonMax = 512
  private static let internalErrorAlert: UInt8 = 80
}
