internal import CNgtcp2
internal import Glibc

/// Told what happens to a `TLSStream`. Called on the loop.
public protocol TLSStreamDelegate: AnyObject {
  /// The handshake is done; bytes may be written.
  func tlsStreamReady(_ stream: TLSStream)
  /// Plaintext arrived; valid during the call.
  ///
  /// - Returns: how many messages were in it: who sends many small ones is read in shorter turns.
  func tlsStream(_ stream: TLSStream, received bytes: UnsafeRawBufferPointer) -> Int
  /// What was written has left this process, but for less than the low-water mark.
  func tlsStreamWritable(_ stream: TLSStream)
  /// The stream is over; the last call. The reason is nil when the peer closed it in order.
  func tlsStream(_ stream: TLSStream, ended reason: String?)
}

/// TLS 1.3 over a byte stream, for the carriers that look like HTTPS.
///
/// It hides what it carries from onlookers, nothing more: the session inside is encrypted and
/// authenticated from end to end, so a client accepts every certificate here.
public final class TLSStream: StreamSocketHandler {
  /// Told what happens.
  public weak var delegate: (any TLSStreamDelegate)?

  private let socket: any StreamSocket
  let session: gnutls_session_t
  private let credentials: TLSStreamCredentials
  private let loop: any EventLoop
  /// Armed while the socket may have more than was read in this tick.
  private var more: LoopTimer?
  /// Ciphertext that was read just now; valid during `advance(with:)`, in which GnuTLS takes it.
  private var arrived = UnsafeRawBufferPointer(start: nil, count: 0)
  /// What it left of that, which is to be expected of a peer that breaks the protocol only.
  private var incoming = ByteQueue()
  /// Ciphertext that waits to leave.
  private var outgoing = ByteQueue()
  private var isReady = false
  private var isOver = false
  private var peerClosed = false
  private var wasFull = false
  private var wasReset = false
  /// In this turn.
  private var messagesFound = 0

  /// Which side of the handshake this is.
  public enum Role {
    /// Sends this name as SNI.
    case client(serverName: String?)
    case server
  }

  /// Takes the socket over, which is connected or about to be; call `start` when it is.
  public init(
    socket: any StreamSocket, role: Role, credentials: TLSStreamCredentials, loop: any EventLoop
  ) throws(QuicError) {
    self.loop = loop
    var session: gnutls_session_t?
    let isServer: Bool
    switch role {
    case .client: isServer = false
    case .server: isServer = true
    }
    let flags = (isServer ? GNUTLS_SERVER.rawValue : GNUTLS_CLIENT.rawValue)
    let quiet = UInt32(GNUTLS_NONBLOCK.rawValue) | UInt32(GNUTLS_NO_SIGNAL.rawValue)
    guard gnutls_init(&session, UInt32(flags) | quiet) == 0, let session else {
      throw .configuration("GnuTLS is out of memory")
    }
    self.session = session
    self.socket = socket
    self.credentials = credentials
    _ = credentials.priorities.apply(Self.priority, to: session)
    gnutls_credentials_set(
      session, GNUTLS_CRD_CERTIFICATE, UnsafeMutableRawPointer(credentials.handle))
    // GnuTLS writes secrets to SSLKEYLOGFILE unless another function takes them.
    gnutls_session_set_keylog_function(session) { _, _, _ in 0 }
    if case .client(let name?) = role {
      gnutls_server_name_set(session, GNUTLS_NAME_DNS, name, name.utf8.count)
    }
    Self.setApplicationProtocol(of: session)
    // SAFETY: this object owns the session and outlives it; GnuTLS calls only inside our calls.
    gnutls_transport_set_ptr(session, Unmanaged.passUnretained(self).toOpaque())
    gnutls_transport_set_push_function(session) { stream, bytes, count in
      TLSStream.from(stream).push(UnsafeRawBufferPointer(start: bytes, count: count))
    }
    gnutls_transport_set_pull_function(session) { stream, bytes, count in
      TLSStream.from(stream).pull(UnsafeMutableRawBufferPointer(start: bytes, count: count))
    }
    gnutls_transport_set_pull_timeout_function(session) { stream, _ in
      TLSStream.from(stream).hasArrived ? 1 : 0
    }
  }

  deinit {
    gnutls_deinit(session)
  }

  /// Begins the handshake.
  public func start() {
    socket.handler = self
    advance(with: UnsafeRawBufferPointer(start: nil, count: 0))
  }

  /// Ciphertext that the socket has not taken yet, in bytes.
  public var pendingCount: Int { outgoing.count }

  /// Whether it holds memory for ciphertext, as no idle stream does.
  var hasMemory: Bool { outgoing.hasMemory || incoming.hasMemory }

  /// Encrypts and queues `bytes`; mind `pendingCount`.
  public func write(_ bytes: UnsafeRawBufferPointer) {
    guard isReady, !isOver else { return }
    var rest = bytes
    while !rest.isEmpty {
      let count = gnutls_record_send(session, rest.baseAddress, rest.count)
      guard count > 0 else { return end(Self.text(Int32(clamping: count))) }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
  }

  /// Hands queued ciphertext to the socket; call it once after a series of writes.
  public func flush() {
    while !isOver, outgoing.count > 0 {
      switch outgoing.withBytes({ socket.write($0) }) {
      case .moved(let count): outgoing.removeFirst(count)
      case .blocked:
        wasFull = true
        return
      case .ended: return
      case .failed(let code): return end(String(cString: strerror(code)))
      }
    }
    if outgoing.hasMemory, outgoing.count == 0 {
      credentials.spareQueue = outgoing
      outgoing = ByteQueue()
    }
    if wasFull, !isOver, outgoing.count == 0 {
      wasFull = false
      delegate?.tlsStreamWritable(self)
    }
  }

  /// Ends the stream, with close_notify if it is `orderly`.
  public func close(orderly: Bool) {
    guard !isOver else { return }
    if orderly, isReady {
      gnutls_bye(session, GNUTLS_SHUT_WR)
      flush()
    }
    isOver = true
    forgetMore()
    socket.close(resetting: !orderly)
  }

  private func forgetMore() {
    if let more { loop.cancel(more) }
    more = nil
  }

  // MARK: Socket

  /// The socket's connect succeeded.
  public func streamSocketConnected() {
    start()
  }

  /// The socket's connect failed.
  public func streamSocketFailed(_ code: Int32) {
    end(String(cString: strerror(code)))
  }

  /// The socket can be read or written.
  public func streamSocketReady(_ readiness: Readiness) {
    if readiness.contains(.writable) { flush() }
    if readiness.contains(.error) { wasReset = true }
    readSocket()
  }

  /// Reads a turn of what there is: what a peer sends faster than it is handled must not hold the loop.
  /// There may be more, for which no edge comes.
  private func readSocket() {
    guard !isOver, more == nil else { return }
    messagesFound = 0
    for _ in 0..<Self.readsPerTurn where messagesFound < Self.messagesPerTurn {
      let result = withUnsafeTemporaryAllocation(byteCount: Self.readSize, alignment: 16) {
        memory in
        let result = socket.read(into: memory)
        if case .moved(let count) = result {
          advance(with: UnsafeRawBufferPointer(rebasing: memory[..<count]))
        }
        return result
      }
      guard case .moved = result, !isOver else { return handle(result) }
    }
    readSoon()
  }

  /// The socket has no more, for now or for ever.
  private func handle(_ result: StreamSocketResult) {
    switch result {
    case .moved: break
    // What came before a reset is read first.
    case .blocked: if wasReset { end("the connection was reset") }
    case .ended:
      peerClosed = true
      advance(with: UnsafeRawBufferPointer(start: nil, count: 0))
      end(isReady ? nil : "the connection was closed during the handshake")
    case .failed(let code): end(String(cString: strerror(code)))
    }
  }

  private func readSoon() {
    guard !isOver else { return }
    let timer = LoopTimer { [weak self] _ in
      self?.more = nil
      self?.readSocket()
    }
    more = timer
    loop.schedule(timer, at: loop.now)
  }

  // MARK: TLS

  private func advance(with bytes: UnsafeRawBufferPointer) {
    guard !isOver else { return }
    arrived = bytes
    defer {
      incoming.append(arrived)
      arrived = UnsafeRawBufferPointer(start: nil, count: 0)
    }
    if !isReady {
      let result = gnutls_handshake(session)
      flush()
      guard result == GNUTLS_E_SUCCESS else {
        if gnutls_error_is_fatal(result) != 0 { end(Self.text(result)) }
        return
      }
      isReady = true
      delegate?.tlsStreamReady(self)
    }
    // Not kept: of thousands of streams, most are idle.
    withUnsafeTemporaryAllocation(byteCount: Self.recordMax, alignment: 16) { readRecords($0) }
  }

  private func readRecords(_ plaintext: UnsafeMutableRawBufferPointer) {
    while !isOver {
      let before = arrivedCount
      let count = gnutls_record_recv(session, plaintext.baseAddress, plaintext.count)
      if count > 0 {
        messagesFound +=
          delegate?.tlsStream(
            self, received: UnsafeRawBufferPointer(rebasing: plaintext[..<count])) ?? 0
      } else if count == 0 {
        return end(nil)
      } else if gnutls_error_is_fatal(Int32(clamping: count)) != 0 {
        return end(Self.text(Int32(clamping: count)))
      } else if Int32(clamping: count) == GNUTLS_E_AGAIN {
        // Where it took something and left more, that was a message of TLS itself (KeyUpdate).
        if hasArrived, arrivedCount < before { continue }
        return flush()
      }
    }
  }

  private func end(_ reason: String?) {
    guard !isOver else { return }
    isOver = true
    forgetMore()
    socket.close(resetting: reason != nil)
    delegate?.tlsStream(self, ended: reason)
  }

  private func push(_ bytes: UnsafeRawBufferPointer) -> Int {
    if !outgoing.hasMemory { swap(&outgoing, &credentials.spareQueue) }
    outgoing.append(bytes)
    return bytes.count
  }

  private var arrivedCount: Int { incoming.count + arrived.count }

  private var hasArrived: Bool { arrivedCount > 0 }

  private func pull(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
    guard hasArrived else {
      if peerClosed { return 0 }
      gnutls_transport_set_errno(session, EAGAIN)
      return -1
    }
    if incoming.count > 0 {
      let count = incoming.withBytes { Self.copy($0, to: buffer) }
      incoming.removeFirst(count)
      return count
    }
    let count = Self.copy(arrived, to: buffer)
    arrived = UnsafeRawBufferPointer(rebasing: arrived[count...])
    return count
  }

  private static func copy(
    _ bytes: UnsafeRawBufferPointer, to buffer: UnsafeMutableRawBufferPointer
  ) -> Int {
    let part = bytes.prefix(buffer.count)
    buffer.copyBytes(from: part)
    return part.count
  }

  /// As browsers and servers do. The carriers negotiate nothing with it.
  static func setApplicationProtocol(of session: gnutls_session_t) {
    var name = Array("http/1.1".utf8)
    name.withUnsafeMutableBufferPointer { name in
      var datum = gnutls_datum_t(data: name.baseAddress, size: UInt32(name.count))
      _ = gnutls_alpn_set_protocols(session, &datum, 1, 0)
    }
  }

  private static func from(_ pointer: gnutls_transport_ptr_t?) -> TLSStream {
    // SAFETY: set in init to an object that outlives its session.
    Unmanaged<TLSStream>.fromOpaque(pointer.unsafelyUnwrapped).takeUnretainedValue()
  }

  private static func text(_ code: Int32) -> String {
    String(cString: gnutls_strerror(code))
  }

  private static let priority =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+CHACHA20-POLY1305:+AES-256-GCM"
  private static let recordMax = 16_384
  private static let readSize = 64 * 1024
  private static let readsPerTurn = 4
  /// A fraction of a millisecond, whatever they are; bulk has some ten in a read.
  private static let messagesPerTurn = 256
}
