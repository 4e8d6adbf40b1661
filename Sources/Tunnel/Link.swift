public import QuicTransport

/// A shared service, opened on a local TCP port.
///
///     let link = try await Link.open(configuration, loop: loop) { event in ... }
///     print("listening on \(link.localAddress)")
///     let reason = await link.end
public actor Link {
  /// The TCP address that local programs connect to.
  public nonisolated let localAddress: SocketAddress

  private let loop: EpollLoop
  private let listener: TCPListener
  private let endpoint: EndpointCore
  private let core: LinkCore
  private let outcome: Outcome

  /// The loop: everything of the link happens there.
  public nonisolated var unownedExecutor: UnownedSerialExecutor {
    loop.asUnownedSerialExecutor()
  }

  /// What to open and where.
  public struct Configuration: Sendable {
    /// Who we are to the sharing side.
    public var identity: Identity
    /// The invitation.
    public var ticket: Ticket
    /// The TCP address to listen on; port 0 picks a free one.
    public var listenAddress: SocketAddress
    /// How the session behaves.
    public var session: SessionSettings

    /// All of it; nothing has a default that changes behaviour.
    public init(
      identity: Identity, ticket: Ticket, listenAddress: SocketAddress, session: SessionSettings
    ) {
      self.identity = identity
      self.ticket = ticket
      self.listenAddress = listenAddress
      self.session = session
    }
  }

  /// Listens, dials the ticket's addresses and returns once the session is open.
  ///
  /// - Parameter onEvent: called on the loop.
  /// - Throws: `.cannotBind`, `.unreachable`, `.refused`, `.identityMismatch`, `.incompatible`,
  ///   `.configuration`.
  public static func open(
    _ configuration: Configuration, loop: EpollLoop,
    onEvent: @escaping @Sendable (TunnelEvent) -> Void
  ) async throws(TunnelError) -> Link {
    let link = try await Opener(loop: loop).open(configuration, onEvent: onEvent)
    if let error = await link.waitUntilOpen() {
      await link.close()
      throw error
    }
    return link
  }

  /// Waits until the session is gone, and says why.
  public var end: TunnelError {
    get async {
      await withCheckedContinuation { outcome.whenOver($0) }
    }
  }

  /// Sums so far.
  public var statistics: TunnelTotals { core.statistics }

  /// Takes no more local connections, and returns when the flows have ended or `grace` is over.
  /// Call `close` next.
  public func drain(within grace: Duration) async {
    listener.close()
    let loop = self.loop
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      let once = Once(continuation, loop: loop, deadline: loop.now + grace)
      core.drain { once.resume() }
    }
  }

  /// Ends the session; the peer is told.
  public func close() {
    listener.close()
    core.close()
  }

  private func waitUntilOpen() async -> TunnelError? {
    await withCheckedContinuation { continuation in
      outcome.whenOpen(continuation)
      core.start()
    }
  }

  private init(
    loop: EpollLoop, listener: TCPListener, endpoint: EndpointCore, core: LinkCore,
    outcome: Outcome
  ) {
    self.loop = loop
    self.listener = listener
    self.endpoint = endpoint
    self.core = core
    self.outcome = outcome
    localAddress = listener.localAddress
  }

  /// Sets a link up on the loop, before the actor that owns it exists.
  private actor Opener {
    private let loop: EpollLoop

    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    init(loop: EpollLoop) {
      self.loop = loop
    }

    func open(
      _ configuration: Configuration, onEvent: @escaping @Sendable (TunnelEvent) -> Void
    ) throws(TunnelError) -> Link {
      let (endpoint, socket) = try Endpoint.open(
        loop: loop, identity: configuration.identity, settings: configuration.session,
        binding: .any, acceptsConnections: false)
      let outcome = Outcome()
      let core = LinkCore(
        endpoint: endpoint, loop: loop, ticket: configuration.ticket, onEvent: onEvent,
        opened: { outcome.open() }, over: { outcome.finish($0) })
      do throws(RuntimeError) {
        let listener = try TCPListener(loop: loop, binding: configuration.listenAddress) {
          [weak core] socket, _ in
          guard let core else { return socket.close(resetting: true) }
          core.accept(socket)
        }
        return Link(
          loop: loop, listener: listener, endpoint: endpoint, core: core, outcome: outcome)
      } catch {
        socket.close()
        throw .cannotBind(configuration.listenAddress, error)
      }
    }
  }
}

/// How a link turned out, for those who wait for it. On one loop.
private final class Outcome {
  private var isOpen = false
  private var error: TunnelError?
  private var openWaiter: CheckedContinuation<TunnelError?, Never>?
  private var overWaiters: [CheckedContinuation<TunnelError, Never>] = []

  func whenOpen(_ waiter: CheckedContinuation<TunnelError?, Never>) {
    openWaiter = waiter
  }

  func whenOver(_ waiter: CheckedContinuation<TunnelError, Never>) {
    if let error { waiter.resume(returning: error) } else { overWaiters.append(waiter) }
  }

  func open() {
    isOpen = true
    openWaiter?.resume(returning: nil)
    openWaiter = nil
  }

  func finish(_ error: TunnelError) {
    self.error = error
    openWaiter?.resume(returning: error)
    openWaiter = nil
    for waiter in overWaiters { waiter.resume(returning: error) }
    overWaiters.removeAll()
  }
}
