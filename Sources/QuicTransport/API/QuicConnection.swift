/// A QUIC connection for async code (RFC 9000), authenticated on both sides.
public actor QuicConnection {
  private nonisolated let loop: any EventLoop
  private let core: ConnectionCore
  private let observer: ConnectionObserver

  /// The loop: everything of the connection happens there.
  public nonisolated var unownedExecutor: UnownedSerialExecutor {
    loop.asUnownedSerialExecutor()
  }

  /// Called on the loop, with a connection that has no delegate yet.
  init(core: ConnectionCore, loop: any EventLoop) {
    // SAFETY: the core is used on `loop` only, which is this actor's executor and the one that
    // calls this initialiser.
    nonisolated(unsafe) let core = core
    self.loop = loop
    self.core = core
    observer = ConnectionObserver(loop: loop)
    core.delegate = observer
  }

  // MARK: Streams

  /// Opens a bidirectional stream; waits while the peer allows no more.
  ///
  /// - Throws: `.connectionLost`, `.cancelled`.
  public func openStream() async throws(StreamError) -> QuicStream {
    try await open(unidirectional: false)
  }

  /// Opens a stream that only this side writes to; waits while the peer allows no more.
  ///
  /// - Throws: `.connectionLost`, `.cancelled`.
  public func openUnidirectionalStream() async throws(StreamError) -> QuicStream {
    try await open(unidirectional: true)
  }

  /// The next stream that the peer opened.
  ///
  /// - Throws: `.connectionLost`, `.cancelled`.
  public func acceptStream() async throws(StreamError) -> QuicStream {
    while true {
      if !observer.incoming.isEmpty { return observer.incoming.removeFirst() }
      if let error = observer.error { throw .connectionLost(error) }
      if Task.isCancelled { throw .cancelled }
      await observer.changed.wait()
    }
  }

  private func open(unidirectional: Bool) async throws(StreamError) -> QuicStream {
    while true {
      do throws(StreamError) {
        // SAFETY: the stream and both actors live on `loop`.
        nonisolated(unsafe) let stream = try core.openStream(unidirectional: unidirectional)
        return QuicStream(core: stream, loop: loop)
      } catch .limitReached {
        if Task.isCancelled { throw .cancelled }
        await observer.changed.wait()
      }
    }
  }

  // MARK: Datagrams

  /// Queues a datagram (RFC 9221), which may be lost and is never repeated.
  public func sendDatagram(_ bytes: [UInt8]) throws(DatagramError) {
    try core.sendDatagram(bytes)
  }

  /// The largest datagram that can be sent now; 0 when the peer takes none.
  public var datagramSizeMax: Int { core.datagramSizeMax }

  /// The next datagram. Up to `datagramsKept` wait to be read; more push out the oldest.
  ///
  /// - Throws: `.connectionLost`, `.cancelled`.
  public func receiveDatagram() async throws(StreamError) -> [UInt8] {
    while true {
      if !observer.datagrams.isEmpty { return observer.datagrams.removeFirst() }
      if let error = observer.error { throw .connectionLost(error) }
      if Task.isCancelled { throw .cancelled }
      await observer.changed.wait()
    }
  }

  // MARK: Life

  /// Closes with an application code; streams are lost, the peer is told.
  public func close(code: UInt64, reason: String) {
    core.close(code: code, reason: reason)
  }

  /// Waits until the connection is over and says why.
  public var closed: QuicError {
    get async {
      while true {
        if let error = observer.error { return error }
        await observer.changed.wait()
        // Cancelled: there is nothing to say but that it was not over.
        if Task.isCancelled {
          return observer.error ?? .application(code: 0, isRemote: false, reason: "cancelled")
        }
      }
    }
  }

  /// Moves a client's end to another local address (RFC 9000 §9), which must be one of its
  /// endpoint's (`QuicEndpoint.bindAnother`). Data goes on over the new path at once.
  ///
  /// - Returns: false while that is not possible; see `ConnectionCore.migrate`.
  public func migrate(to local: SocketAddress) -> Bool {
    core.migrate(to: NetworkPath(local: local, remote: core.currentPath.remote))
  }

  /// Starts a key update (RFC 9001 §6); false while the last one is not confirmed. It is the client
  /// that starts them: a server returns false, and follows.
  public func updateKeys() -> Bool { core.updateKeys() }

  // MARK: Facts

  /// How the connection is doing.
  public var statistics: ConnectionStatistics { core.statistics }
  /// The path that packets take now.
  public var path: NetworkPath { core.currentPath }
  /// The identity that the peer proved with its raw public key.
  public var peer: PublicKey? { core.peer }
  /// The negotiated application protocol.
  public var applicationProtocol: String? { core.applicationProtocol }
  /// The QUIC version in use.
  public var version: QuicVersion? { core.version }
  /// Whether TLS resumed an earlier session.
  public var isResumed: Bool { core.isResumed }

  /// Bytes that only the two ends know (RFC 8446 §7.5).
  public func exportKeyingMaterial(label: String, context: [UInt8], count: Int) -> [UInt8]? {
    core.exportKeyingMaterial(label: label, context: context, count: count)
  }

  /// Whether it has ended.
  var isOver: Bool { observer.error != nil }

  /// Waits until both sides proved who they are.
  func ready() async throws(QuicError) {
    while !observer.isReady {
      if let error = observer.error { throw error }
      if Task.isCancelled {
        core.close(code: 0, reason: "cancelled")
        throw .application(code: 0, isRemote: false, reason: "cancelled")
      }
      await observer.changed.wait()
    }
  }

  /// Has `settled` called once, on the loop, when the handshake is done or has failed.
  func onSettled(_ settled: @escaping (_ isReady: Bool) -> Void) {
    observer.settled = settled
  }
}

/// Keeps what happened to a connection for those who wait.
private final class ConnectionObserver: ConnectionDelegate {
  let changed = WaitList()
  var settled: ((_ isReady: Bool) -> Void)?
  var incoming: [QuicStream] = []
  var datagrams: [[UInt8]] = []
  private(set) var isReady = false
  private(set) var error: QuicError?
  private let loop: any EventLoop

  init(loop: any EventLoop) {
    self.loop = loop
  }

  func connectionReady(_ connection: ConnectionCore) {
    isReady = true
    settled?(true)
    settled = nil
    changed.wakeAll()
  }

  func connection(_ connection: ConnectionCore, opened stream: StreamCore) {
    // Bounded by the number of streams that the peer may open.
    // SAFETY: the stream, this object and the actor live on `loop`.
    nonisolated(unsafe) let stream = stream
    incoming.append(QuicStream(core: stream, loop: loop))
    changed.wakeAll()
  }

  func connectionAllowsStreams(_ connection: ConnectionCore) {
    changed.wakeAll()
  }

  func connection(_ connection: ConnectionCore, received datagram: UnsafeRawBufferPointer) {
    if datagrams.count >= Self.datagramsKept { datagrams.removeFirst() }
    datagrams.append(Array(datagram))
    changed.wakeAll()
  }

  func connection(_ connection: ConnectionCore, closed error: QuicError) {
    self.error = error
    settled?(false)
    settled = nil
    changed.wakeAll()
  }

  private static let datagramsKept = 256
}
