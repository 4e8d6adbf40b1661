internal import CNgtcp2
internal import Glibc

/// TLS over a byte stream as a byte stream of its own, at the accepting side: what is read is plaintext,
/// and back-pressure goes through.
///
/// `TLSStream` brings what arrives as it arrives, which suits datagrams; this one reads no more from its
/// socket than its own reader asks for.
public final class TLSSocket: StreamSocket {
  /// Told of readiness; set by whoever takes the socket over.
  public weak var handler: (any StreamSocketHandler)?

  private let socket: any StreamSocket
  private let session: gnutls_session_t
  private let credentials: TLSStreamCredentials
  private let loop: any EventLoop
  private var phase = Phase.handshake
  /// Ciphertext that the socket has not taken yet.
  private var outgoing = ByteQueue()
  /// What the socket said last that was no success; GnuTLS knows fewer cases.
  private var pulled = StreamSocketResult.blocked
  /// FIN is to follow the queue, and followed it.
  private var isFinishing = false
  private var hasFinished = false
  /// The client has ended its side, with what was read last.
  private var hasEnded = false
  /// Armed while the reader is to come back.
  private var asking: LoopTimer?
  /// Keeps this object until its last bytes have left.
  private var lingering: LoopTimer?

  private enum Phase: Equatable {
    case handshake
    case open
    /// No more can be read or written, for this reason.
    case failed(Int32)
    case closed
  }

  /// Takes the socket over, which is connected; call `start` when the handler is set.
  ///
  /// - Throws: `.configuration` where GnuTLS cannot.
  public init(
    accepting socket: any StreamSocket, credentials: TLSStreamCredentials, loop: any EventLoop
  ) throws(QuicError) {
    var session: gnutls_session_t?
    let flags = GNUTLS_SERVER.rawValue | GNUTLS_NONBLOCK.rawValue | GNUTLS_NO_SIGNAL.rawValue
    guard gnutls_init(&session, UInt32(flags)) == 0, let session else {
      throw .configuration("GnuTLS is out of memory")
    }
    self.session = session
    self.socket = socket
    self.credentials = credentials
    self.loop = loop
    _ = credentials.priorities.apply("NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2", to: session)
    gnutls_credentials_set(
      session, GNUTLS_CRD_CERTIFICATE, UnsafeMutableRawPointer(credentials.handle))
    // GnuTLS writes secrets to SSLKEYLOGFILE unless another function takes them.
    gnutls_session_set_keylog_function(session) { _, _, _ in 0 }
    TLSStream.setApplicationProtocol(of: session)
    // SAFETY: this object owns the session and outlives it; GnuTLS calls only inside our calls.
    gnutls_transport_set_ptr(session, Unmanaged.passUnretained(self).toOpaque())
    gnutls_transport_set_push_function(session) { this, bytes, count in
      TLSSocket.from(this).push(UnsafeRawBufferPointer(start: bytes, count: count))
    }
    gnutls_transport_set_pull_function(session) { this, bytes, count in
      TLSSocket.from(this).pull(UnsafeMutableRawBufferPointer(start: bytes, count: count))
    }
    gnutls_transport_set_pull_timeout_function(session) { _, _ in 1 }
  }

  deinit {
    gnutls_deinit(session)
  }

  /// Begins the handshake.
  public func start() {
    socket.handler = self
    shakeHands()
  }

  // MARK: StreamSocket

  /// Reads plaintext.
  public func read(into buffer: UnsafeMutableRawBufferPointer) -> StreamSocketResult {
    shakeHands()
    guard phase == .open else { return blockedOrFailed }
    if hasEnded { return .ended }
    var moved = 0
    var attempts = 0
    // A record has 16 KiB at most, and a short read would say that there is no more for now.
    while moved < buffer.count {
      let count = gnutls_record_recv(session, buffer.baseAddress! + moved, buffer.count - moved)
      if count > 0 {
        moved += count
        attempts = 0
      } else if count < 0, gnutls_error_is_fatal(Int32(clamping: count)) == 0, !hasReadAll,
        attempts < Self.attemptsMax
      {
        // A message of TLS itself (KeyUpdate), with more behind it.
        attempts += 1
      } else if moved > 0 {
        // A failure will be said again, to who asks; of nothing for now, the socket tells. A FIN alone is
        // said once.
        if count == Int(GNUTLS_E_PREMATURE_TERMINATION) { hasEnded = true }
        if !hasReadAll { askAgain() }
        break
      } else {
        return result(ofReceiving: Int32(clamping: count))
      }
    }
    flush()
    return .moved(moved)
  }

  /// Takes plaintext: up to 64 KiB at once, and none while ciphertext of before waits.
  public func write(_ pieces: UnsafeBufferPointer<UnsafeRawBufferPointer>) -> StreamSocketResult {
    shakeHands()
    flush()
    guard phase == .open, outgoing.count == 0 else { return blockedOrFailed }
    var moved = 0
    for piece in pieces {
      var rest = UnsafeRawBufferPointer(rebasing: piece.prefix(Self.outgoingMax - moved))
      while !rest.isEmpty {
        // What is pushed is queued, so it is taken whole.
        let count = gnutls_record_send(session, rest.baseAddress, rest.count)
        guard count > 0 else {
          phase = .failed(EPROTO)
          return .failed(EPROTO)
        }
        rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        moved += count
      }
    }
    flush()
    return moved > 0 ? .moved(moved) : .blocked
  }

  /// Sends close_notify and FIN behind what was taken; reading goes on.
  public func finishWriting() {
    guard phase == .open || phase == .handshake, !isFinishing else { return }
    isFinishing = true
    if phase == .open { gnutls_bye(session, GNUTLS_SHUT_WR) }
    flush()
  }

  /// Closes; what was taken still leaves, for up to 10 s, unless it is `resetting`.
  public func close(resetting: Bool) {
    guard phase != .closed else { return }
    handler = nil
    if !resetting, case .open = phase, lingering == nil {
      finishWriting()
      guard outgoing.count == 0 else { return linger() }
    }
    end(resetting: resetting)
  }

  // MARK: Internals

  private var hasReadAll: Bool { if case .blocked = pulled { true } else { false } }

  /// Has the reader come back, though the socket will not tell of more.
  private func askAgain() {
    guard asking == nil else { return }
    let timer = LoopTimer { [weak self] _ in
      guard let self else { return }
      asking = nil
      handler?.streamSocketReady(.readable)
    }
    asking = timer
    loop.schedule(timer, at: loop.now)
  }

  /// The reader has everything that GnuTLS could decrypt; why is there no more?
  private func result(ofReceiving code: Int32) -> StreamSocketResult {
    flush()
    // Clients that close without a word are common. What is inside says where it ends (RFC 8446 §6.1).
    if code == 0 || code == GNUTLS_E_PREMATURE_TERMINATION { return .ended }
    if gnutls_error_is_fatal(code) == 0 {
      if !hasReadAll { askAgain() }
      return .blocked
    }
    if case .failed(let code) = pulled { return .failed(code) }
    phase = .failed(ECONNRESET)
    return .failed(ECONNRESET)
  }

  private var blockedOrFailed: StreamSocketResult {
    switch phase {
    case .handshake, .open: .blocked
    case .failed(let code): .failed(code)
    case .closed: .failed(EPIPE)
    }
  }

  private func shakeHands() {
    guard phase == .handshake else { return }
    let code = gnutls_handshake(session)
    flush()
    if code == GNUTLS_E_SUCCESS {
      phase = .open
    } else if gnutls_error_is_fatal(code) != 0 {
      phase = .failed(ECONNABORTED)
    }
  }

  private func flush() {
    while outgoing.count > 0 {
      switch outgoing.withBytes({ socket.write($0) }) {
      case .moved(let count): outgoing.removeFirst(count)
      case .blocked: return
      case .ended: return
      case .failed(let code):
        phase = .failed(code)
        outgoing = ByteQueue()
        return
      }
    }
    if isFinishing, !hasFinished {
      hasFinished = true
      socket.finishWriting()
    }
  }

  /// The last bytes get as long as a slow reader may take for them.
  private func linger() {
    let timer = LoopTimer { _ in self.end(resetting: true) }
    lingering = timer
    loop.schedule(timer, at: loop.now + Self.lingerTimeout)
  }

  private func end(resetting: Bool) {
    phase = .closed
    for timer in [lingering, asking] { timer.map(loop.cancel) }
    lingering = nil
    asking = nil
    socket.close(resetting: resetting)
  }

  private func push(_ bytes: UnsafeRawBufferPointer) -> Int {
    outgoing.append(bytes)
    return bytes.count
  }

  private func pull(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
    pulled = socket.read(into: buffer)
    switch pulled {
    case .moved(let count): return count
    case .ended: return 0
    case .blocked: gnutls_transport_set_errno(session, EAGAIN)
    case .failed: gnutls_transport_set_errno(session, ECONNRESET)
    }
    return -1
  }

  private static func from(_ pointer: gnutls_transport_ptr_t?) -> TLSSocket {
    // SAFETY: set in init to an object that outlives its session.
    Unmanaged<TLSSocket>.fromOpaque(pointer.unsafelyUnwrapped).takeUnretainedValue()
  }

  /// Plaintext that one call takes.
  private static let outgoingMax = 64 * 1024
  /// Messages of TLS in a row.
  private static let attemptsMax = 16
  private static let lingerTimeout = Duration.seconds(10)
}

extension TLSSocket: StreamSocketHandler {
  /// The socket was connected before.
  public func streamSocketConnected() {}

  /// The socket failed.
  public func streamSocketFailed(_ code: Int32) {
    phase = .failed(code)
    handler?.streamSocketFailed(code)
  }

  /// The socket can be read or written.
  public func streamSocketReady(_ readiness: Readiness) {
    if readiness.contains(.writable) { flush() }
    if lingering != nil {
      if outgoing.count == 0 { end(resetting: false) }
      return
    }
    shakeHands()
    handler?.streamSocketReady(readiness)
  }
}
