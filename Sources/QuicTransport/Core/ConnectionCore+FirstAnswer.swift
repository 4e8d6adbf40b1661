internal import CNgtcp2

/// What `FirstAnswerGuard` sees of a client's handshake.
extension ConnectionCore {
  /// In a C callback: whether ngtcp2 shall see the packet with this long header.
  func admits(_ payload: UnsafeRawBufferPointer, behind header: UnsafeRawBufferPointer) -> Bool {
    guard !isServer, Self.isInitial(header) else { return true }
    return firstAnswer.admits(payload, packetsSent: counters.datagramsSent)
  }

  /// Compares the sender of a datagram with the server whose answer was taken.
  func noteServer(of datagram: UnsafeRawBufferPointer, now: Instant) {
    guard case .handshaking = state, datagram[0] & 0x80 != 0 else { return }
    var header = ngtcp2_version_cid()
    let bytes = datagram.baseAddress?.assumingMemoryBound(to: UInt8.self)
    guard
      ngtcp2_pkt_decode_version_cid(
        &header, bytes, datagram.count, ConnectionID.issuedCount) == 0,
      header.version != 0, header.scidlen <= ConnectionID.countMax, Self.isInitial(datagram)
    else { return }
    let source = ConnectionID(UnsafeRawBufferPointer(start: header.scid, count: header.scidlen))
    if source != ConnectionID(ngtcp2_conn_get_dcid(handle).pointee) {
      firstAnswer.noteAnother(source, now: now)
    }
  }

  /// RFC 9000 §17.2; in the second version Retry has the number that Initial has in the first
  /// (RFC 9369 §3.2).
  private static func isInitial(_ header: UnsafeRawBufferPointer) -> Bool {
    guard header.count > 5 else { return false }
    let number = header[1..<5].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    return header[0] >> 4 & 0x03 == (QuicVersion(number: number) == .v2 ? 1 : 0)
  }

  /// Says nothing: the one who would hear it is not the one that is meant.
  func abandonDisputed() {
    abandon(
      .transport(code: 0, isRemote: false, reason: "two servers answered the first packet"))
  }
}
