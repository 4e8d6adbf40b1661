internal import CNgtcp2
internal import Glibc

/// Two descriptors that the process was given, such as standard input and output, as one byte
/// stream on an `EpollLoop`.
///
/// They may be pipes, terminals, sockets or files. A description that is shared with other programs
/// is not made non-blocking behind their backs: pipes and devices are opened once more, sockets are
/// asked not to wait call by call, and files, which epoll(7) does not take, are always ready.
public final class StandardStreams: StreamSocket {
  /// Told of readiness.
  public weak var handler: (any StreamSocketHandler)?

  private let loop: EpollLoop
  private let input: DescriptorHalf
  private let output: DescriptorHalf
  private let outputNumber: Int32
  private var wake: LoopTimer?
  private var hasAnnounced = false
  private var early: Readiness = []
  private var isFinished = false
  private var isClosed = false

  /// Takes both over; the handler hears `streamSocketConnected` soon. Call on the loop, which keeps
  /// this object alive until `close`.
  ///
  /// - Parameters:
  ///   - input: the descriptor to read from.
  ///   - output: the descriptor to write to. `finishWriting` puts the null device in its place, so
  ///     that its reader sees the end.
  public init(loop: EpollLoop, input: Int32, output: Int32) throws(RuntimeError) {
    self.loop = loop
    outputNumber = output
    self.input = try DescriptorHalf(input, isInput: true, loop: loop)
    do throws(RuntimeError) {
      self.output = try DescriptorHalf(output, isInput: false, loop: loop)
    } catch {
      self.input.close(on: loop, finishing: false)
      throw error
    }
    self.input.isReady = { readiness in
      // The end of a pipe shows as a hang-up; then there is no edge for what is left.
      let hasEnded = !readiness.isDisjoint(with: [.hangUp, .error, .peerClosed])
      self.tell(hasEnded ? [.readable, .peerClosed] : .readable)
    }
    // A reader that is gone matters to whoever writes: the next write tells.
    self.output.isReady = { _ in self.tell(.writable) }
    wakeUp()
  }

  /// One read(2).
  public func read(into buffer: UnsafeMutableRawBufferPointer) -> StreamSocketResult {
    let result = input.read(into: buffer)
    // What has no edges is asked again; a terminal gives one line at a time without one for each.
    if case .moved(let count) = result, count < buffer.count, !input.reportsEdges { wakeUp() }
    return result
  }

  /// One writev(2).
  public func write(_ pieces: UnsafeBufferPointer<UnsafeRawBufferPointer>) -> StreamSocketResult {
    output.write(pieces)
  }

  /// Closes the output: its reader sees the end.
  public func finishWriting() {
    guard !isFinished, !isClosed else { return }
    isFinished = true
    output.close(on: loop, finishing: true)
    let null = open("/dev/null", O_WRONLY | O_CLOEXEC)
    guard null >= 0 else { return }
    dup2(null, outputNumber)
    Glibc.close(null)
  }

  /// Lets both go; the numbers themselves stay open until the process ends.
  public func close(resetting: Bool) {
    guard !isClosed else { return }
    isClosed = true
    handler = nil
    if let wake { loop.cancel(wake) }
    wake = nil
    input.close(on: loop, finishing: false)
    if !isFinished { output.close(on: loop, finishing: false) }
  }

  private func wakeUp() {
    let timer = wake ?? LoopTimer { [weak self] _ in self?.announce() }
    wake = timer
    loop.schedule(timer, at: loop.now)
  }

  /// Edges that come before the announcement are told with it.
  private func tell(_ readiness: Readiness) {
    if hasAnnounced {
      handler?.streamSocketReady(readiness)
    } else {
      early.formUnion(readiness)
    }
  }

  private func announce() {
    if !hasAnnounced {
      hasAnnounced = true
      handler?.streamSocketConnected()
    }
    handler?.streamSocketReady(early.union([.readable, .writable]))
  }
}

/// One descriptor of `StandardStreams`, under a number of our own.
private final class DescriptorHalf: ReadinessHandler {
  /// Called on the loop with each edge.
  var isReady: ((Readiness) -> Void)?
  /// Whether epoll tells of everything that becomes readable: pipes and sockets.
  private(set) var reportsEdges: Bool

  private var descriptor: FileDescriptor?
  private let isSocket: Bool
  private var registration: Registration.Token?

  init(_ number: Int32, isInput: Bool, loop: EpollLoop) throws(RuntimeError) {
    var status = stat()
    guard fstat(number, &status) == 0 else { throw .system("fstat", errno) }
    let kind = status.st_mode & S_IFMT
    isSocket = kind == S_IFSOCK
    reportsEdges = kind == S_IFSOCK || kind == S_IFIFO
    var own: Int32 = -1
    if kind == S_IFIFO || kind == S_IFCHR {
      let direction = isInput ? O_RDONLY : O_WRONLY
      own = open(
        "/proc/self/fd/\(number)", direction | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)
    }
    if own < 0 {
      own = fcntl(number, F_DUPFD_CLOEXEC, 3)
      guard own >= 0 else { throw .system("dup", errno) }
      // A device that cannot be opened again, such as another user's terminal.
      if kind == S_IFIFO || kind == S_IFCHR {
        _ = fcntl(own, F_SETFL, fcntl(own, F_GETFL) | O_NONBLOCK)
      }
    }
    let descriptor = FileDescriptor(owning: own)
    do throws(RuntimeError) {
      registration = try loop.register(descriptor, edgeTriggered: true, handler: self)
    } catch {
      // Files, and devices such as /dev/null, never make anybody wait.
      guard error.code == EPERM else { throw error }
      reportsEdges = false
    }
    self.descriptor = consume descriptor
  }

  func ready(_ readiness: Readiness, now: Instant) {
    isReady?(readiness)
  }

  func read(into buffer: UnsafeMutableRawBufferPointer) -> StreamSocketResult {
    guard let raw = descriptor?.raw else { return .ended }
    let count =
      isSocket
      ? recv(raw, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
      : Glibc.read(raw, buffer.baseAddress, buffer.count)
    if count > 0 { return .moved(count) }
    if count == 0 { return .ended }
    return errno == EAGAIN || errno == EINTR ? .blocked : .failed(errno)
  }

  func write(_ pieces: UnsafeBufferPointer<UnsafeRawBufferPointer>) -> StreamSocketResult {
    guard let raw = descriptor?.raw else { return .failed(EPIPE) }
    let count = withUnsafeTemporaryAllocation(of: iovec.self, capacity: pieces.count) { vectors in
      for (index, piece) in pieces.enumerated() {
        let base = UnsafeMutableRawPointer(mutating: piece.baseAddress)
        vectors[index] = iovec(iov_base: base, iov_len: piece.count)
      }
      guard isSocket else { return writev(raw, vectors.baseAddress, Int32(pieces.count)) }
      var message = msghdr()
      message.msg_iov = vectors.baseAddress
      message.msg_iovlen = pieces.count
      return sendmsg(raw, &message, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
    }
    if count >= 0 { return .moved(count) }
    return errno == EAGAIN || errno == EINTR ? .blocked : .failed(errno)
  }

  func close(on loop: EpollLoop, finishing: Bool) {
    if finishing, isSocket, let raw = descriptor?.raw { shutdown(raw, Int32(SHUT_WR)) }
    if let registration { loop.unregister(registration) }
    registration = nil
    isReady = nil
    descriptor = nil
  }
}
