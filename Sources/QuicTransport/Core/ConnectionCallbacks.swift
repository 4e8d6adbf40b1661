internal import CNgtcp2

/// The functions that ngtcp2 calls. They translate and append, nothing else (conventions, rule 11).
enum ConnectionCallbacks {
  static let table: ngtcp2_callbacks = {
    var table = ngtcp2_callbacks()
    fillCrypto(&table)
    fillStreams(&table)
    fillConnection(&table)
    return table
  }()

  private static func fillCrypto(_ table: inout ngtcp2_callbacks) {
    table.client_initial = ngtcp2_crypto_client_initial_cb
    table.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb
    table.recv_retry = ngtcp2_crypto_recv_retry_cb
    table.encrypt = ngtcp2_crypto_encrypt_cb
    table.decrypt = { destination, aead, context, bytes, count, nonce, nonceCount, header, size in
      let result = ngtcp2_crypto_decrypt_cb(
        destination, aead, context, bytes, count, nonce, nonceCount, header, size)
      guard result == 0, let caller = qtun_caller(), size > 0, let header else { return result }
      // RFC 9001 §5.3: tags have 16 bytes.
      guard count >= 16 else { return result }
      let payload = UnsafeRawBufferPointer(start: destination, count: count - 16)
      let connection = ConnectionCore.from(caller)
      // RFC 9000 §17.3: short headers are 1-RTT packets.
      if header[0] & 0x80 == 0 {
        connection.noteFrames(payload)
        return result
      }
      // As if it were not for us: nothing protects an Initial.
      let isSound = connection.admits(
        payload, behind: UnsafeRawBufferPointer(start: header, count: size))
      return isSound ? result : NGTCP2_ERR_DECRYPT
    }
    table.hp_mask = ngtcp2_crypto_hp_mask_cb
    table.update_key = ngtcp2_crypto_update_key_cb
    table.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb
    table.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb
    table.get_path_challenge_data = { connection, data, userData in
      // ngtcp2 asks for the data of a challenge when it writes it.
      ConnectionCore.from(userData).whereabouts.ask()
      return ngtcp2_crypto_get_path_challenge_data_cb(connection, data, userData)
    }
    table.version_negotiation = ngtcp2_crypto_version_negotiation_cb
    // Never ngtcp2_crypto_recv_crypto_data_cb itself: see CryptoGuard.
    table.recv_crypto_data = { connection, level, offset, data, count, userData in
      let bytes = UnsafeRawBufferPointer(start: data, count: count)
      let verdict = ConnectionCore.from(userData).judge(level, offset, bytes)
      guard verdict == 0 else { return verdict }
      return ngtcp2_crypto_recv_crypto_data_cb(connection, level, offset, data, count, userData)
    }
    table.rand = { destination, count, _ in
      Crypto.random(UnsafeMutableRawBufferPointer(start: destination, count: count))
    }
  }

  private static func fillStreams(_ table: inout ngtcp2_callbacks) {
    table.stream_open = { _, id, userData in
      ConnectionCore.from(userData).streamOpened(StreamID(number: id))
      return 0
    }
    table.recv_stream_data = { _, flags, _, _, data, count, userData, streamData in
      guard let stream = StreamCore.from(streamData) else { return 0 }
      let fin = flags & UInt32(NGTCP2_STREAM_DATA_FLAG_FIN) != 0
      let bytes = UnsafeRawBufferPointer(start: data, count: count)
      let connection = ConnectionCore.from(userData)
      connection.hasNews = true
      connection.frameLimit.notePiece()
      connection.streamReceived(stream, bytes, fin: fin)
      return 0
    }
    table.acked_stream_data_offset = { _, _, offset, count, userData, streamData in
      let connection = ConnectionCore.from(userData)
      connection.hasNews = true
      connection.noteAcknowledged()
      StreamCore.from(streamData)?.acknowledge(upTo: offset + count)
      return 0
    }
    table.stream_reset = { _, _, _, code, userData, streamData in
      guard let stream = StreamCore.from(streamData) else { return 0 }
      ConnectionCore.from(userData).streamReset(stream, code: code)
      return 0
    }
    table.stream_close = { _, _, _, _, userData, streamData in
      guard let stream = StreamCore.from(streamData) else { return 0 }
      ConnectionCore.from(userData).streamClosed(stream)
      return 0
    }
    table.extend_max_stream_data = { _, _, _, userData, streamData in
      guard let stream = StreamCore.from(streamData) else { return 0 }
      ConnectionCore.from(userData).streamUnblocked(stream)
      return 0
    }
    table.extend_max_local_streams_bidi = { _, _, userData in
      ConnectionCore.from(userData).events.append(.streamsAllowed)
      return 0
    }
    table.extend_max_local_streams_uni = table.extend_max_local_streams_bidi
  }

  private static func fillConnection(_ table: inout ngtcp2_callbacks) {
    table.handshake_completed = { _, userData in
      ConnectionCore.from(userData).events.append(.ready)
      return 0
    }
    table.recv_datagram = { _, _, data, count, userData in
      let connection = ConnectionCore.from(userData)
      connection.hasNews = true
      connection.datagramReceived(UnsafeRawBufferPointer(start: data, count: count))
      return 0
    }
    table.get_new_connection_id = { _, cid, token, _, userData in
      guard let cid, let token else { return NGTCP2_ERR_CALLBACK_FAILURE }
      return ConnectionCore.from(userData).issueConnectionID(cid, token)
    }
    table.remove_connection_id = { _, cid, userData in
      guard let cid else { return 0 }
      ConnectionCore.from(userData).host?.unroute(ConnectionID(cid.pointee))
      return 0
    }
    table.dcid_status = { _, status, _, _, token, userData in
      // The first time, this is the last step out of the handshake, on either side.
      ConnectionCore.from(userData).hasLeftHandshake = true
      guard let token else { return 0 }
      ConnectionCore.from(userData).peerConnectionID(
        ResetToken(UnsafeRawBufferPointer(start: token, count: ResetToken.byteCount)),
        isInUse: status == NGTCP2_CONNECTION_ID_STATUS_TYPE_ACTIVATE)
      return 0
    }
    table.path_validation = { _, _, path, _, outcome, userData in
      guard let path, outcome == NGTCP2_PATH_VALIDATION_RESULT_SUCCESS else { return 0 }
      ConnectionCore.from(userData).whereabouts.validate(PathStorage.load(path.pointee))
      return 0
    }
    table.select_preferred_addr = { _, destination, offered, userData in
      guard let destination, let offered else { return 0 }
      ConnectionCore.from(userData).choosePreferred(of: offered.pointee, into: destination)
      return 0
    }
    table.recv_stateless_reset = { _, _, userData in
      ConnectionCore.from(userData).gotStatelessReset = true
      return 0
    }
    table.recv_version_negotiation = { _, _, versions, count, userData in
      let offered = UnsafeBufferPointer(start: versions, count: min(count, 16))
      ConnectionCore.from(userData).offeredVersions = Array(offered)
      return 0
    }
    table.recv_new_token = { _, token, count, userData in
      let connection = ConnectionCore.from(userData)
      let bytes = Array(UnsafeBufferPointer(start: token, count: min(count, 512)))
      connection.host?.remember(token: bytes, of: connection)
      return 0
    }
  }
}

extension StreamCore {
  /// Finds the stream in a C callback; nil for one that we never adopted.
  fileprivate static func from(_ userData: UnsafeMutableRawPointer?) -> StreamCore? {
    // SAFETY: set by `ConnectionCore.adopt`; the connection's table keeps the stream alive.
    userData.map { Unmanaged<StreamCore>.fromOpaque($0).takeUnretainedValue() }
  }
}

extension ConnectionCore {
  /// 0, or what `recv_crypto_data` shall return.
  fileprivate func judge(
    _ level: ngtcp2_encryption_level, _ offset: UInt64, _ bytes: UnsafeRawBufferPointer
  ) -> Int32 {
    if level == NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE { firstAnswer.noteProgress() }
    switch cryptoGuard.judge(level: level, offset: offset, bytes: bytes) {
    case .accept: return 0
    case .excessive:
      callbackError = .cryptoBufferExceeded
      return NGTCP2_ERR_CRYPTO
    case .unexpected:
      ngtcp2_conn_set_tls_alert(handle, 10)
      return NGTCP2_ERR_CRYPTO
    }
  }

  fileprivate func issueConnectionID(
    _ cid: UnsafeMutablePointer<ngtcp2_cid>, _ token: UnsafeMutablePointer<UInt8>
  ) -> Int32 {
    guard let host else { return NGTCP2_ERR_CALLBACK_FAILURE }
    let id = host.makeConnectionID()
    cid.pointee = id.cid
    for (index, byte) in host.resetToken(for: id).enumerated() { token[index] = byte }
    host.route(id, to: self)
    return 0
  }

  /// Looks at the frames of a 1-RTT packet before ngtcp2 does.
  func noteFrames(_ payload: UnsafeRawBufferPointer) {
    let tally = FrameScanner.scan(payload) { stopNotices.append(($0, $1)) }
    work.chargeFrames(tally.work, byteCount: payload.count)
    frameLimit.note(tally, now: lastNow)
  }

  /// The peer's connection ID that has this token came into use, or went out of it.
  fileprivate func peerConnectionID(_ token: ResetToken, isInUse: Bool) {
    if isInUse {
      host?.route(token, to: self)
    } else {
      host?.unroute(token, from: self)
    }
  }

  fileprivate func datagramReceived(_ bytes: UnsafeRawBufferPointer) {
    // The peer may send faster than a tick delivers; datagrams may be dropped (RFC 9221 §5.3).
    datagramsArrived.append(
      bytes, UnsafeRawBufferPointer(start: nil, count: 0), now: .distantFuture)
    counters.datagramFramesReceived += 1
  }
}
