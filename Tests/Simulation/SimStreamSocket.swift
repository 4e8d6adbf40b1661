internal import Glibc
public import QuicTransport

/// One end of an in-memory TCP connection: bounded buffers, FIN, RST, readiness told by edges.
///
/// What one end does reaches the other `latency` later. Reads and writes move at most what is there
/// or fits, like a kernel's socket.
public final class SimStreamSocket: StreamSocket {
  public weak var handler: (any StreamSocketHandler)?
  /// Bytes that this end has read and written.
  public private(set) var bytesRead = 0
  public private(set) var bytesWritten = 0

  private let loop: SimLoop
  private let incoming: Pipe
  private let outgoing: Pipe
  private weak var peer: SimStreamSocket?
  private var phase = Phase.connected
  private var isClosed = false

  private enum Phase {
    case connecting
    /// Connecting will fail with this `errno`.
    case failing(Int32)
    case connected
  }

  private init(loop: SimLoop, incoming: Pipe, outgoing: Pipe) {
    self.loop = loop
    self.incoming = incoming
    self.outgoing = outgoing
  }

  /// Two connected ends.
  ///
  /// - Parameter capacity: bytes that each direction buffers.
  public static func pair(
    loop: SimLoop, capacity: Int, latency: Duration
  ) -> (SimStreamSocket, SimStreamSocket) {
    precondition(capacity > 0 && latency > .zero, "a pipe needs room and time must pass")
    let forth = Pipe(capacity: capacity, latency: latency)
    let back = Pipe(capacity: capacity, latency: latency)
    let one = SimStreamSocket(loop: loop, incoming: back, outgoing: forth)
    let other = SimStreamSocket(loop: loop, incoming: forth, outgoing: back)
    one.peer = other
    other.peer = one
    // Registering with epoll reports what is ready already.
    loop.after(latency) { [weak one, weak other] in
      one?.tell()
      other?.tell()
    }
    return (one, other)
  }

  /// Two ends of which the first hears `streamSocketConnected` after `latency`.
  public static func connecting(
    loop: SimLoop, capacity: Int, latency: Duration
  ) -> (SimStreamSocket, SimStreamSocket) {
    let (one, other) = pair(loop: loop, capacity: capacity, latency: latency)
    one.phase = .connecting
    return (one, other)
  }

  /// A connect that hears `streamSocketFailed` after `latency`; nil for one that is never answered.
  public static func failing(loop: SimLoop, code: Int32?, latency: Duration) -> SimStreamSocket {
    let pipe = Pipe(capacity: 1, latency: latency)
    let socket = SimStreamSocket(loop: loop, incoming: pipe, outgoing: pipe)
    socket.phase = code.map { .failing($0) } ?? .connecting
    if code != nil { loop.after(latency) { [weak socket] in socket?.tell() } }
    return socket
  }

  /// Bytes that can be read right now.
  public var readableCount: Int { incoming.arrived }

  /// True once this end was closed.
  public var isReleased: Bool { isClosed }

  private var isConnected: Bool {
    if case .connected = phase { return true }
    return false
  }

  // MARK: StreamSocket

  public func read(into buffer: UnsafeMutableRawBufferPointer) -> StreamSocketResult {
    precondition(!isClosed && isConnected, "read after close, or too early")
    if let error = incoming.error { return .failed(error) }
    let count = min(buffer.count, incoming.arrived)
    if count > 0 {
      buffer.copyBytes(from: incoming.bytes[incoming.head..<incoming.head + count])
      let wasFull = incoming.room == 0
      incoming.take(count)
      bytesRead += count
      if wasFull { loop.after(incoming.latency) { [weak peer] in peer?.tell() } }
      return .moved(count)
    }
    return incoming.finArrived ? .ended : .blocked
  }

  public func write(_ pieces: UnsafeBufferPointer<UnsafeRawBufferPointer>) -> StreamSocketResult {
    precondition(!isClosed && isConnected, "write after close, or too early")
    precondition(!outgoing.isFinished, "write after FIN")
    if let error = outgoing.error { return .failed(error) }
    var moved = 0
    for piece in pieces {
      let count = min(piece.count, outgoing.room)
      outgoing.bytes.append(contentsOf: piece.prefix(count))
      moved += count
    }
    if moved == 0 { return .blocked }
    bytesWritten += moved
    arrive { pipe in pipe.arrived += moved }
    return .moved(moved)
  }

  public func finishWriting() {
    guard !isClosed, !outgoing.isFinished else { return }
    outgoing.isFinished = true
    arrive { pipe in pipe.finArrived = true }
  }

  public func close(resetting: Bool) {
    guard !isClosed else { return }
    // Closing with unread bytes makes a kernel send RST too (RFC 2525 §2.17).
    if resetting || incoming.bytes.count > incoming.head {
      let incoming = incoming
      arrive { pipe in
        pipe.error = ECONNRESET
        incoming.error = ECONNRESET
      }
    } else {
      finishWriting()
    }
    isClosed = true
    handler = nil
    // Whoever writes to a closed socket is answered with RST.
    incoming.error = incoming.error ?? EPIPE
  }

  /// Something between the two ends resets the connection: both hear ECONNRESET at once.
  public func sever() {
    incoming.error = ECONNRESET
    outgoing.error = ECONNRESET
    loop.after(.nanoseconds(1)) { [weak self, weak peer] in
      self?.tell()
      peer?.tell()
    }
  }

  /// Something between the two ends forgets the connection: nothing passes any more, and neither end
  /// is told.
  public func freeze() {
    incoming.isFrozen = true
    outgoing.isFrozen = true
  }

  /// Something between the two ends holds everything back for this long, and then passes it on.
  public func hold(for time: Duration) {
    incoming.heldUntil = loop.now + time
    outgoing.heldUntil = loop.now + time
  }

  // MARK: Time passing

  /// Changes the peer's side of our outgoing pipe after the latency, and tells it.
  private func arrive(_ change: @escaping (Pipe) -> Void) {
    let pipe = outgoing
    let peer = peer
    loop.after(max(pipe.latency, (pipe.heldUntil ?? loop.now) - loop.now)) {
      guard !pipe.isFrozen else { return }
      change(pipe)
      peer?.tell()
    }
  }

  /// An edge reports everything that is ready, as epoll does.
  private func tell() {
    guard !isClosed else { return }
    switch phase {
    case .connecting:
      phase = .connected
      handler?.streamSocketConnected()
      // The handler may have had enough.
      if isClosed { return }
    case .failing(let code):
      handler?.streamSocketFailed(code)
      return
    case .connected: break
    }
    var readiness: Readiness = []
    if incoming.arrived > 0 || incoming.finArrived { readiness.insert(.readable) }
    if incoming.finArrived { readiness.insert(.peerClosed) }
    if outgoing.room > 0, !outgoing.isFinished { readiness.insert(.writable) }
    if incoming.error != nil { readiness.formUnion([.readable, .writable, .error, .hangUp]) }
    if !readiness.isEmpty { handler?.streamSocketReady(readiness) }
  }

  /// One direction.
  private final class Pipe {
    let capacity: Int
    let latency: Duration
    /// From `head`: bytes that were written and not read, arrived ones first.
    var bytes: [UInt8] = []
    var head = 0
    /// Of these, bytes that reached the reader.
    var arrived = 0
    var isFinished = false
    var isFrozen = false
    var heldUntil: Instant?
    var finArrived = false
    var error: Int32?

    init(capacity: Int, latency: Duration) {
      self.capacity = capacity
      self.latency = latency
    }

    var room: Int { capacity - (bytes.count - head) }

    func take(_ count: Int) {
      head += count
      arrived -= count
      if head == bytes.count || head > 65_536 {
        bytes.removeFirst(head)
        head = 0
      }
    }
  }
}
