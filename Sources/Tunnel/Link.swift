public import QuicTransport

/// Shared services, opened on local addresses.
///
///     let link = try await Link.open(configuration, loop: loop) { event in ... }
///     for service in await link.services { print(service.name, service.address) }
///     let reason = await link.end
public actor Link {
  /// What was opened, in the order of the configuration or of the share.
  public var services: [OpenedService] { listeners.map(\.service) }

  private let loop: EpollLoop
  private var listeners: [LocalListener] = []
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
    /// Which services to open, and where.
    public var opening: Opening
    /// How the session behaves.
    public var session: SessionSettings
    /// Which kinds of carrier may be used.
    public var carriers: CarrierPolicy
    /// What programs must show to the proxies that are opened; nil lets all of this machine in.
    public var proxyCredentials: ProxyCredentials?
    /// STUN servers to ask besides the ticket's rendezvous: further vantage points.
    public var stunServers: [SocketAddress] = []

    /// All of it; nothing has a default that changes behaviour.
    public init(
      identity: Identity, ticket: Ticket, opening: Opening, session: SessionSettings,
      carriers: CarrierPolicy
    ) {
      self.carriers = carriers
      self.identity = identity
      self.ticket = ticket
      self.opening = opening
      self.session = session
    }
  }

  /// Dials the ticket's addresses, opens the services and returns once programs can connect.
  ///
  /// - Parameter onEvent: called on the loop.
  /// - Throws: `.unreachable`, `.refused`, `.identityMismatch`, `.incompatible`,
  ///   `.unknownService`, `.wrongKind`, `.cannotListen`, `.cannotBind`, `.configuration`.
  public static func open(
    _ configuration: Configuration, loop: EpollLoop,
    onEvent: @escaping @Sendable (TunnelEvent) -> Void
  ) async throws(TunnelError) -> Link {
    let link = try await Opener(loop: loop).open(configuration, onEvent: onEvent)
    do throws(TunnelError) {
      if let error = await link.waitUntilOpen() { throw error }
      try await link.listen(configuration.opening, credentials: configuration.proxyCredentials)
      return link
    } catch {
      await link.close()
      throw error
    }
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
  ///
  /// - Returns: whether the peer confirmed that its programs have everything.
  @discardableResult
  public func drain(within grace: Duration) async -> Bool {
    closeListeners()
    let loop = self.loop
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      let once = Once(continuation, loop: loop, deadline: loop.now + grace)
      core.drain { once.resume() }
    }
    return core.isConfirmed
  }

  /// Ends the session; the peer is told.
  public func close() {
    closeListeners()
    core.close()
  }

  private func waitUntilOpen() async -> TunnelError? {
    await withCheckedContinuation { continuation in
      outcome.whenOpen(continuation)
      core.start()
    }
  }

  /// Opens all of the services that are wanted, or throws; `close` then closes those that were.
  private func listen(
    _ opening: Opening, credentials: ProxyCredentials?
  ) throws(TunnelError) {
    if case .streams(let input, let output, let destination) = opening {
      let wish: FlowWish
      if let destination {
        let service = try Opening.dynamicService(nil, among: core.services)
        wish = FlowWish(header: FlowHeader(service: service.name, destination: destination))
      } else {
        wish = .service(try Opening.soleStreamService(among: core.services))
      }
      do throws(RuntimeError) {
        let socket = try StandardStreams(loop: loop, input: input, output: output)
        core.accept(socket, wish: wish)
        return
      } catch {
        throw .system(error)
      }
    }
    for planned in try opening.plan(offered: core.services) {
      listeners.append(
        try LocalListener.open(planned, credentials: credentials, loop: loop, core: core))
    }
  }

  private func closeListeners() {
    for listener in listeners { listener.close() }
  }

  private init(loop: EpollLoop, endpoint: EndpointCore, core: LinkCore, outcome: Outcome) {
    self.loop = loop
    self.endpoint = endpoint
    self.core = core
    self.outcome = outcome
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
      let registry = PathRegistry(endpoint: endpoint)
      let dialer = try Endpoint.dialer(endpoint: endpoint, registry: registry, loop: loop)
      let core = LinkCore(
        endpoint: endpoint, registry: registry, dialer: dialer, loop: loop,
        ticket: configuration.ticket, policy: configuration.carriers,
        udpTimeout: configuration.session.udpTimeout, onEvent: onEvent,
        opened: { outcome.open() }, over: { outcome.finish($0) })
      let ticket = configuration.ticket
      if !ticket.rendezvous.isEmpty {
        let (meeting, clients) = MeetingCore.open(
          identity: configuration.identity.publicKey,
          role: .dialling(
            peer: ticket.identity, capability: ticket.capability,
            grant: ticket.grant?.bytes ?? []),
          rendezvous: ticket.rendezvous, stunServers: configuration.stunServers,
          endpoint: endpoint, socket: socket, registry: registry, dialer: dialer,
          policy: configuration.carriers.towardsRelay, loop: loop,
          onEvent: { onEvent(.meeting($0)) })
        core.meeting = LinkMeeting(
          meeting: meeting, clients: clients, peer: ticket.identity, loop: loop)
      }
      return Link(loop: loop, endpoint: endpoint, core: core, outcome: outcome)
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
