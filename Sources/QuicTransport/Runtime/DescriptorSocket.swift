internal import CNgtcp2
internal import Glibc

/// A connected stream socket of the kernel on an `EpollLoop`: non-blocking, watched edge-triggered.
///
/// TCP and Unix sockets differ in how they come about; what happens to them then is here.
public class DescriptorSocket: StreamSocket, ReadinessHandler {
  /// Told of readiness.
  public weak var handler: (any StreamSocketHandler)?

  private let loop: EpollLoop
  let descriptor: FileDescriptor
  private var registration: Registration.Token?
  private var isConnecting: Bool
  private var isClosed = false

  /// Takes over a non-blocking descriptor. The loop keeps this object alive until `close`.
  ///
  /// - Parameter isConnecting: the handler hears how the connect went.
  init(loop: EpollLoop, owning raw: Int32, isConnecting: Bool) throws(RuntimeError) {
    self.loop = loop
    self.isConnecting = isConnecting
    descriptor = FileDescriptor(owning: raw)
    registration = try loop.register(descriptor, edgeTriggered: true, handler: self)
  }

  /// Passes readiness on. Called by the loop.
  public func ready(_ readiness: Readiness, now: Instant) {
    if isConnecting {
      guard !readiness.isDisjoint(with: [.writable, .error, .hangUp]) else { return }
      isConnecting = false
      let code = qtun_socket_error(descriptor.raw)
      if code != 0 {
        handler?.streamSocketFailed(code)
        return
      }
      handler?.streamSocketConnected()
    }
    handler?.streamSocketReady(readiness)
  }

  /// One read(2).
  public func read(into buffer: UnsafeMutableRawBufferPointer) -> StreamSocketResult {
    let count = Glibc.read(descriptor.raw, buffer.baseAddress, buffer.count)
    if count > 0 { return .moved(count) }
    if count == 0 { return .ended }
    return errno == EAGAIN || errno == EINTR ? .blocked : .failed(errno)
  }

  /// One sendmsg(2), which takes all pieces if there is room.
  public func write(_ pieces: UnsafeBufferPointer<UnsafeRawBufferPointer>) -> StreamSocketResult {
    let count = withUnsafeTemporaryAllocation(of: iovec.self, capacity: pieces.count) { vectors in
      for (index, piece) in pieces.enumerated() {
        let base = UnsafeMutableRawPointer(mutating: piece.baseAddress)
        vectors[index] = iovec(iov_base: base, iov_len: piece.count)
      }
      var message = msghdr()
      message.msg_iov = vectors.baseAddress
      message.msg_iovlen = pieces.count
      return sendmsg(descriptor.raw, &message, Int32(MSG_NOSIGNAL))
    }
    if count >= 0 { return .moved(count) }
    return errno == EAGAIN || errno == EINTR ? .blocked : .failed(errno)
  }

  /// shutdown(2) of the writing side: FIN.
  public func finishWriting() {
    shutdown(descriptor.raw, Int32(SHUT_WR))
  }

  /// Closes now, with FIN or with RST; safe to call again. A Unix socket has no RST: its peer sees
  /// one only when it left bytes unread.
  public func close(resetting: Bool) {
    guard !isClosed else { return }
    isClosed = true
    handler = nil
    if resetting {
      qtun_socket_reset_on_close(descriptor.raw)
    }
    // The descriptor itself closes with the last reference to this object, which is the loop's.
    if let registration { loop.unregister(registration) }
    registration = nil
  }
}
