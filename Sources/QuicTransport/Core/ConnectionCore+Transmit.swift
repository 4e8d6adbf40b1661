internal import CNgtcp2

extension ConnectionCore {
  /// Writes and sends what congestion control, pacing and flow control allow now.
  ///
  /// - Returns: false when the socket was full; the host retries soon.
  func transmit(now: Instant) -> Bool {
    guard state.isLive, suspendedSince == nil, let host else {
      sendWaitingClose()
      return true
    }
    creditConnection()
    endWaitIfLoaded()
    // What could not leave now, and has waited for too long, never will.
    defer { dropLateDatagrams(now: now) }
    if let stranded {
      self.stranded = nil
      if case .blocked = stranded.send(through: self) { return false }
    }
    let now = advance(to: now)
    var batch = PacketBatch(memory: host.packetMemory)
    let capacity = min(ngtcp2_conn_get_max_tx_udp_payload_size(handle), probeSizeMax)
    var budget = burstBytes
    var isBlocked = false
    // ngtcp2 may read packets that it had buffered.
    beginCalls()
    defer { endCalls() }
    while budget > 0, !isBlocked {
      if !batch.hasRoom(for: capacity) {
        isBlocked = !flush(&batch)
        batch.rewind()
        if isBlocked { break }
      }
      var info = ngtcp2_pkt_info()
      let count = writePacket(into: batch.end, capacity: capacity, info: &info, now: now)
      guard count > 0 else {
        if count < 0 {
          _ = flush(&batch)
          fail(Int32(count))
          return true
        }
        break
      }
      budget -= count
      let ecn = mark(info)
      if keepsEarly(count, at: batch.end, ecn: ecn) { continue }
      if !batch.accepts(count, ecn: ecn, path: sendingPath.pointee.path) {
        isBlocked = !flush(&batch)
        batch.begin(ecn: ecn, path: sendingPath.pointee.path)
      }
      batch.add(count)
      if batch.isFinal { isBlocked = !flush(&batch) || isBlocked }
    }
    if isBlocked {
      // The packet that did not fit the batch before it is written, and cannot be unwritten.
      stranded = takeCounting(&batch).map(StrandedPacket.init)
    } else if !flush(&batch) {
      isBlocked = true
    } else if let early = whereabouts.takeEarly(), case .blocked = early.send(through: self) {
      // The socket keeps what it did not take.
      isBlocked = true
    }
    sawOtherPath = false
    ngtcp2_conn_update_pkt_tx_time(handle, now.nanoseconds)
    releaseEarlyPackets(now: now)
    return !isBlocked
  }

  /// Whether the packet just written has to wait until the peer was asked on its new path.
  private func keepsEarly(
    _ count: Int, at bytes: UnsafeMutablePointer<UInt8>, ecn: ECN
  ) -> Bool {
    guard isServer, whereabouts.mustAsk else { return false }
    let path = PathStorage.load(sendingPath.pointee.path)
    guard whereabouts.isUnasked(on: path) else { return false }
    // SAFETY: the packet was written there; it is copied before anything else is.
    let packet = UnsafeRawBufferPointer(start: bytes, count: count)
    whereabouts.keep(
      StrandedPacket(DatagramBatch(bytes: packet, segmentSize: count, path: path, ecn: ecn)))
    return true
  }

  /// The mark that ngtcp2 wants on a packet.
  func mark(_ info: ngtcp2_pkt_info) -> ECN {
    settings.usesECN ? ECN(rawValue: info.ecn) ?? .notCapable : .notCapable
  }

  /// Drops datagrams that are late, because the window is closed or the socket is full. It comes after
  /// writing: a process that was not scheduled for a while finds what it missed and the window's
  /// opening together.
  func dropLateDatagrams(now: Instant) {
    guard !datagrams.isEmpty, state.isLive else { return }
    let smoothed = Duration.nanoseconds(Int64(clamping: info.smoothed_rtt))
    let age = max(settings.datagramAgeMax, smoothed * Self.datagramRoundTripsMax)
    datagrams.dropOlder(than: age, now: now, keeping: Self.datagramBytesKept)
  }

  /// So little is no queue (RFC 8289 §4.4 spares the last packet), and may be a question that is asked
  /// once: the pacing of a large MTU probe holds it up for longer than its path is slow.
  private static let datagramBytesKept = 16 * 1024

  /// A window takes round trips to open: three for the fragments of the largest UDP datagram in slow
  /// start (RFC 9002 §7.3.1), and as many for the pacing of a probe for the largest MTU.
  private static let datagramRoundTripsMax = 4
  /// What may leave before the pacer is asked again: at most an initial window (RFC 9002 §7.7), counted
  /// in packets of the size that the path carries, not of the probes for more. BBR knows how much its
  /// rate sends in a millisecond, which may be more; with less than an initial window at once ngtcp2's
  /// BBR measures too low a rate. CUBIC, whose window is its burst, has only the limit of a few batches.
  private var burstBytes: Int {
    guard settings.congestionControl == .bbr else { return Self.burstBytesMax }
    let packet = ngtcp2_conn_get_path_max_tx_udp_payload_size(handle)
    // RFC 9002 §7.2: the initial window.
    let window = min(10 * packet, max(14_720, 2 * packet))
    return max(ngtcp2_conn_get_send_quantum(handle), window)
  }

  /// Two of the largest datagrams that a path may carry.
  private static let burstBytesMax = 2 * 61_440

  /// The largest packet that may be written: more than the path is known to carry only as far as the
  /// window has room for it. ngtcp2 writes a probe for a larger packet size whatever the congestion
  /// window, and counts it: one that is lost, as soon after a migration, keeps data from being sent
  /// until the loss is noticed. What does not fit is tried when the window has grown (RFC 8899 §4.1).
  private var probeSizeMax: Int {
    let known = max(
      ngtcp2_conn_get_path_max_tx_udp_payload_size(handle), Self.packetSizeMin)
    return waitsForLoad ? known : max(known, Int(clamping: info.cwnd) / Self.probesPerWindow)
  }

  /// Begins the search for larger packets as soon as something would fill one.
  private func endWaitIfLoaded() {
    guard waitsForLoad else { return }
    let waiting = scheduler.current?.sendBuffer.unsentCount ?? 0
    if waiting > Self.packetSizeMin || !datagrams.isEmpty { waitsForLoad = false }
  }

  private static let probesPerWindow = 2
  /// What the handshake needs (RFC 9000 §14.1).
  private static let packetSizeMin = 1_200

  /// Reads what the guard held back, once ngtcp2 has left the handshake.
  ///
  /// A client does so in a write after TLS is done, not when TLS is done: until that write it still
  /// expects the server's first connection ID, and aborts without it. Pacing may put it off.
  private func releaseEarlyPackets(now: Instant) {
    guard holdsEarlyPackets, hasLeftHandshake else { return }
    holdsEarlyPackets = false
    for held in earlyGuard.takeHeld() where state.isLive {
      held.bytes.withUnsafeBytes { read($0, held.path, held.ecn, now: now) }
    }
    markDirty()
  }

  private func flush(_ batch: inout PacketBatch) -> Bool {
    guard let pending = takeCounting(&batch) else { return true }
    if case .blocked = send(pending) { return false }
    return true
  }

  private func takeCounting(_ batch: inout PacketBatch) -> DatagramBatch? {
    guard let pending = batch.take() else { return nil }
    counters.datagramsSent += UInt64(
      (pending.bytes.count + pending.segmentSize - 1) / pending.segmentSize)
    counters.bytesSent += UInt64(pending.bytes.count)
    return pending
  }

  /// One packet with as much as fits. Returns its size, 0 when nothing may leave, or an error.
  private func writePacket(
    into destination: UnsafeMutablePointer<UInt8>, capacity: Int,
    info: inout ngtcp2_pkt_info, now: Instant
  ) -> Int {
    let more = sawOtherPath ? 0 : UInt32(NGTCP2_WRITE_STREAM_FLAG_MORE)
    while true {
      let result: Int
      let stream = sendableStream
      if hasDatagramTurn(before: stream) {
        let waits = stream != nil
        result = writeDatagram(destination, capacity, more, &info, now, streamsWait: waits)
      } else if let stream {
        result = writeStream(stream, destination, capacity, more, &info, now)
      } else {
        return Int(
          qtun_conn_writev_stream(
            handle, &sendingPath.pointee.path, &info, destination, capacity, nil, 0, -1, nil, 0,
            now.nanoseconds))
      }
      // WRITE_MORE: the packet has room left. The others took a stream out of the queue. Each of
      // them leaves less to do, so the loop ends.
      switch Int32(clamping: result) {
      case NGTCP2_ERR_WRITE_MORE, NGTCP2_ERR_STREAM_DATA_BLOCKED, NGTCP2_ERR_STREAM_SHUT_WR,
        NGTCP2_ERR_STREAM_NOT_FOUND:
        continue
      default: return result
      }
    }
  }

  private var sendableStream: StreamCore? {
    guard case .open = state, let stream = scheduler.current, mayWrite(stream) else { return nil }
    return stream
  }

  private func hasDatagramTurn(before stream: StreamCore?) -> Bool {
    guard case .open = state, !datagrams.isEmpty else { return false }
    return stream == nil || datagramTurns.isDatagramNext
  }

  /// While the peer's connection window is full, only a bare FIN may pass. MAX_DATA brings a flush.
  private func mayWrite(_ stream: StreamCore) -> Bool {
    stream.sendBuffer.unsentCount == 0 || ngtcp2_conn_get_max_data_left(handle) > 0
  }

  private func writeStream(
    _ stream: StreamCore, _ destination: UnsafeMutablePointer<UInt8>, _ capacity: Int,
    _ more: UInt32, _ info: inout ngtcp2_pkt_info, _ now: Instant
  ) -> Int {
    guard stream.hasUnsent else {
      scheduler.remove(to: .idle)
      return Int(NGTCP2_ERR_STREAM_SHUT_WR)
    }
    var consumed = -1
    var isLast = false
    let result = withUnsafeTemporaryAllocation(of: ngtcp2_vec.self, capacity: 8) { vectors in
      let pieces = stream.sendBuffer.describeUnsent(vectors, limit: capacity)
      let described = vectors[..<pieces].reduce(0) { $0 + $1.len }
      isLast = stream.isFinishing && described == stream.sendBuffer.unsentCount
      return Int(
        qtun_conn_writev_stream(
          handle, &sendingPath.pointee.path, &info, destination, capacity, &consumed,
          more | (isLast ? UInt32(NGTCP2_WRITE_STREAM_FLAG_FIN) : 0), stream.id.number,
          vectors.baseAddress, pieces, now.nanoseconds))
    }
    if consumed >= 0 {
      stream.sendBuffer.markSent(consumed)
      unsentBytes -= consumed
      if isLast, stream.sendBuffer.unsentCount == 0 { stream.finSent = true }
      scheduler.sent(consumed, hasMore: stream.hasUnsent)
      datagramTurns.sentStream(consumed)
      stream.noteSent()
    } else {
      switch Int32(clamping: result) {
      case NGTCP2_ERR_STREAM_DATA_BLOCKED: scheduler.remove(to: .blocked)
      case NGTCP2_ERR_STREAM_SHUT_WR, NGTCP2_ERR_STREAM_NOT_FOUND: scheduler.remove(to: .idle)
      default: break
      }
    }
    return result
  }

  private func writeDatagram(
    _ destination: UnsafeMutablePointer<UInt8>, _ capacity: Int, _ more: UInt32,
    _ info: inout ngtcp2_pkt_info, _ now: Instant, streamsWait: Bool
  ) -> Int {
    let count = datagrams.firstCount
    // The path may have shrunk since it was queued.
    guard count <= datagramSizeMax else {
      datagrams.dropFirst()
      return Int(NGTCP2_ERR_WRITE_MORE)
    }
    var accepted: Int32 = 0
    let result = datagrams.withFirst { datagram in
      Int(
        qtun_conn_write_datagram(
          handle, &sendingPath.pointee.path, &info, destination, capacity, &accepted, more, 0,
          datagram.baseAddress?.assumingMemoryBound(to: UInt8.self), count, now.nanoseconds))
    }
    if accepted != 0 {
      datagrams.removeFirst()
      datagramTurns.sentDatagram(count, streamsWait: streamsWait)
      counters.datagramFramesSent += 1
    }
    // ngtcp2 refuses a datagram that no packet can take; nobody would ever take it out.
    if result == Int(NGTCP2_ERR_INVALID_ARGUMENT) || result == Int(NGTCP2_ERR_INVALID_STATE) {
      datagrams.dropFirst()
      return Int(NGTCP2_ERR_WRITE_MORE)
    }
    return result
  }
}
