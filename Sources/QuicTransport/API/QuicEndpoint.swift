/// One UDP socket that dials and accepts QUIC connections, for async code.
///
///     let loop = try EpollLoop()
///     try loop.start()
///     let server = try await QuicEndpoint.bind(to: .any, settings: settings, loop: loop)
///     while let connection = try? await server.accept() { ... }
public actor QuicEndpoint {
  /// The bound address; its port is the real one where 0 was asked for.
  public nonisolated let localAddress: SocketAddress

  private nonisolated let loop: any EventLoop
  private let core: EndpointCore
  private let openSocket: (SocketAddress) throws(RuntimeError) -> any DatagramSocket
  private let arrivals = WaitList()
  /// Connections whose handshake is done and that nobody took yet.
  private var accepted: [QuicConnection] = []
  private var isClosed = false
  /// How many may wait, handshakes included: as many as a busy program takes within a second or so.
  private var acceptedMax = 1_024

  /// The loop: everything of the endpoint happens there.
  public nonisolated var unownedExecutor: UnownedSerialExecutor {
    loop.asUnownedSerialExecutor()
  }

  /// Opens the socket.
  ///
  /// - Parameters:
  ///   - address: port 0 picks a free one; `.any` takes IPv4 and IPv6.
  ///   - loop: running, or about to run.
  /// - Throws: `.system` with EADDRINUSE, EACCES and the like; `.configuration`.
  public static func bind(
    to address: SocketAddress, settings: EndpointSettings, loop: EpollLoop
  ) async throws(QuicError) -> QuicEndpoint {
    let opener = Opener(loop: loop)
    return try await opener.open(settings: settings, binding: address) {
      address throws(RuntimeError) in
      try UDPSocket(loop: loop, binding: address, bufferBytes: Self.socketBufferBytes)
    }
  }

  /// The same over any socket and loop, such as simulated ones.
  public static func open(
    binding address: SocketAddress, settings: EndpointSettings, loop: any EventLoop,
    openSocket:
      @escaping @Sendable (SocketAddress) throws(RuntimeError) -> any DatagramSocket
  ) async throws(QuicError) -> QuicEndpoint {
    let opener = Opener(loop: loop)
    return try await opener.open(settings: settings, binding: address, openSocket: openSocket)
  }

  private init(
    core: EndpointCore, localAddress: SocketAddress, loop: any EventLoop,
    openSocket: @escaping (SocketAddress) throws(RuntimeError) -> any DatagramSocket
  ) {
    self.core = core
    self.localAddress = localAddress
    self.loop = loop
    self.openSocket = openSocket
  }

  // MARK: Connections

  /// Dials; returns when both sides proved who they are.
  ///
  /// - Throws: `.handshakeTimeout`, `.identityMismatch`, `.protocolMismatch`, `.rejectedByPeer`
  ///   and the other cases of `QuicError`.
  public func connect(to target: ConnectTarget) async throws(QuicError) -> QuicConnection {
    // SAFETY: the connection and both actors live on `loop`.
    nonisolated(unsafe) let dialled = try core.connect(to: target, delegate: nil)
    let connection = QuicConnection(core: dialled, loop: loop)
    try await connection.ready()
    return connection
  }

  /// The next connection that a peer opened and proved itself on.
  ///
  /// - Returns: nil once the endpoint is closed, or the task cancelled.
  public func accept() async -> QuicConnection? {
    while true {
      if !accepted.isEmpty { return accepted.removeFirst() }
      if isClosed || Task.isCancelled { return nil }
      await arrivals.wait()
    }
  }

  /// Decides which identities may connect, during their handshake. Everybody may, at first.
  ///
  /// - Parameter decide: called on the loop.
  public func admit(where decide: @escaping @Sendable (PublicKey) -> Bool) {
    core.acceptsPeer = decide
  }

  /// Binds another local address, for `QuicConnection.migrate`.
  ///
  /// - Returns: the address to migrate to.
  public func bindAnother(_ address: SocketAddress, towards remote: SocketAddress)
    throws(QuicError) -> SocketAddress
  {
    do throws(RuntimeError) {
      let socket = try openSocket(address)
      core.add(socket)
      return socket.sourceAddress(towards: remote)
    } catch {
      throw .system(error)
    }
  }

  /// Closes every connection with an application code; peers are told.
  public func close(code: UInt64, reason: String) {
    isClosed = true
    core.close(code: code, reason: reason)
    arrivals.wakeAll()
  }

  private func listen() {
    core.admits = { [weak self] _ in self?.assumeIsolated { $0.hasRoom() } ?? false }
    core.onIncoming = { [weak self, loop] core in
      // SAFETY: the connection and both actors live on this loop, which is calling.
      nonisolated(unsafe) let core = core
      let connection = QuicConnection(core: core, loop: loop)
      connection.assumeIsolated { connection in
        connection.onSettled { [weak self, weak connection] isReady in
          guard let connection else { return }
          self?.assumeIsolated { $0.settle(connection, isReady: isReady) }
        }
      }
      self?.assumeIsolated { $0.pending.append(connection) }
    }
  }

  /// Connections in their handshake: nobody else keeps their observers alive.
  private var pending: [QuicConnection] = []

  /// As with listen(2), whoever comes when too many wait gets no answer, and tries again.
  private func hasRoom() -> Bool {
    if accepted.count + pending.count < acceptedMax { return true }
    // Those that gave up meanwhile hold no place.
    accepted.removeAll { connection in connection.assumeIsolated { $0.isOver } }
    return accepted.count + pending.count < acceptedMax
  }

  /// Changes how many connections may wait for `accept`; tests make do with fewer.
  func limitBacklog(to count: Int) {
    acceptedMax = count
  }

  private func settle(_ connection: QuicConnection, isReady: Bool) {
    pending.removeAll { $0 === connection }
    guard isReady else { return }
    accepted.append(connection)
    arrivals.wakeAll()
  }

  /// A burst of the largest congestion window that a busy machine leaves waiting.
  private static let socketBufferBytes = 4 * 1024 * 1024

  /// Sets an endpoint up on its loop, before the actor that owns it exists.
  private actor Opener {
    private nonisolated let loop: any EventLoop

    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    init(loop: any EventLoop) {
      self.loop = loop
    }

    func open(
      settings: EndpointSettings, binding address: SocketAddress,
      openSocket:
        @escaping @Sendable (SocketAddress) throws(RuntimeError) -> any DatagramSocket
    ) async throws(QuicError) -> QuicEndpoint {
      let core = try EndpointCore(loop: loop, settings: settings)
      let localAddress: SocketAddress
      do throws(RuntimeError) {
        let socket = try openSocket(address)
        core.add(socket)
        localAddress = socket.localAddress
      } catch {
        throw .system(error)
      }
      let endpoint = QuicEndpoint(
        core: core, localAddress: localAddress, loop: loop, openSocket: openSocket)
      await endpoint.listen()
      return endpoint
    }
  }
}
