internal import CNgtcp2

/// A connection that waits out an outage.
///
/// QUIC doubles its probe timeout with every loss (RFC 9002 §6.2.1), so after an hour without a
/// network it would look again half an hour later. A connection whose owner knows the road to be
/// dead is suspended instead: its timers stand still and it sends nothing. When the owner hears of
/// the peer again, the overdue timeout fires at once, and its acknowledgement has everything
/// that was lost sent again.
extension ConnectionCore {
  /// Sends a PING whenever QUIC has been silent for so long, from now on (RFC 9000 §10.1.2); instead
  /// of what the settings say, for a peer with an idle timeout of its own.
  public func keepAlive(every interval: Duration) {
    guard case .open = state else { return }
    ngtcp2_conn_set_keep_alive_timeout(handle, interval.wholeNanoseconds)
    markDirty()
  }

  /// Sends nothing and backs nothing off until `resume`; datagrams are still taken, and the idle
  /// timeout still ends the connection. Called by the router.
  public func suspend() {
    guard case .open = state, suspendedSince == nil else { return }
    suspendedSince = now
    markDirty()
  }

  /// The peer can be reached again: what waits for an acknowledgement is asked for at once.
  public func resume() {
    guard suspendedSince != nil else { return }
    suspendedSince = nil
    handleTimeout(now: now)
  }

  /// When the idle timeout has passed for certain: it ran when the connection was suspended, and
  /// ngtcp2 does not tell since when.
  func suspensionDeadline(since start: Instant) -> Instant {
    let peer = ngtcp2_conn_get_remote_transport_params(handle)?.pointee.max_idle_timeout ?? 0
    let limits = [settings.idleTimeout.wholeNanoseconds, peer].filter { $0 > 0 }
    guard let limit = limits.min() else { return .distantFuture }
    return start + .nanoseconds(Int64(clamping: limit))
  }

  /// A datagram for a peer that may have lost its state: one that knows the connection drops it as
  /// undecipherable, one that does not answers with a stateless reset (RFC 9000 §10.3). It
  /// leaves no trace in QUIC, so that it may be sent as often as needed.
  ///
  /// - Returns: 44 bytes, or nil when the connection is over.
  public func makeResetQuestion() -> [UInt8]? {
    guard case .open = state else { return nil }
    var id = ngtcp2_conn_get_dcid(handle).pointee
    let destination = Array(UnsafeBufferPointer(start: qtun_cid_bytes(&id), count: id.datalen))
    var bytes = Crypto.random(Self.resetQuestionCount)
    // A short header (RFC 9000 §17.3.1): fixed bit, no long header.
    bytes[0] = 0x40 | bytes[0] & 0x3f
    bytes.replaceSubrange(1..<1 + destination.count, with: destination)
    return bytes
  }

  /// One more than the largest stateless reset, which has to be smaller than its cause.
  private static let resetQuestionCount = 44
}
