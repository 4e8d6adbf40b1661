public import QuicTransport

/// Shared services, opened on local addresses.
///
///     let link = try await Link.open(configuration, loop: loop) { event in ... }
///     for service in await link.services { print(service.name, service.address) }
///     let reason = await link.end
public actor Link {
  /// What was opened, in the order of the configuration or of the share.
  public var services: [OpenedService] { listeners.map(\.service) }
  /// Where the sharing side listens for us, in the order of the configuration.
  public var remoteAddresses: [SocketAddress] { core.remoteListeners?.addresses ?? [] }

  private let loop: EpollLoop
  private var listeners: [LocalListener] = []
  private let endpoint: EndpointCore
  private let core: LinkCore
  /// Nil where a sandbox allows none: changes are then noticed by probes.
  private let watcher: SystemWatcher?
  private let pings = Pings()
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
    /// Whether the session may go directly, through a relay, or either way.
    public var path = PathPolicy.automatic
    /// How long the start waits for a direct path. With `.direct`, the link fails when the time is
    /// over; with `.automatic` it goes on through a relay. Nil starts at once, or gives up by itself.
    public var waitDirect: Duration?
    /// Relays to look for the peer at, besides the ticket's; `RendezvousAddress.countMax` in all.
    public var rendezvous: [RendezvousAddress] = []
    /// Whether the gateway is asked for a port, where there is a rendezvous.
    public var mapsPort = true
    /// STUN servers to ask besides the rendezvous: further vantage points.
    public var stunServers: [SocketAddress] = []
    /// What carriers over TCP go through, if anything.
    public var proxy: HTTPProxy?
    /// When to dial again.
    public var retry: RetryPolicy

    /// Every service at its own port on 127.0.0.1, over any carrier, dialled again when a session is
    /// lost. Change what should be different.
    public static func standard(identity: Identity, ticket: Ticket) -> Configuration {
      Configuration(
        identity: identity, ticket: ticket, opening: .everything, session: .standard,
        carriers: .automatic, proxy: nil, retry: .afterLoss)
    }
    /// Where the sharing side shall listen for us; 64 at most.
    public var remoteListeners: [RemoteListener] = []

    /// All of it; nothing has a default that changes behaviour.
    public init(
      identity: Identity, ticket: Ticket, opening: Opening, session: SessionSettings,
      carriers: CarrierPolicy, proxy: HTTPProxy?, retry: RetryPolicy
    ) {
      self.carriers = carriers
      self.proxy = proxy
      self.retry = retry
      self.identity = identity
      self.ticket = ticket
      self.opening = opening
      self.session = session
    }
  }

  /// Dials the ticket's addresses, opens the services and returns once programs can connect.
  ///
  /// - Parameter onEvent: called on the loop; may be left out.
  /// - Throws: `.unreachable`, `.refused`, `.identityMismatch`, `.incompatible`,
  ///   `.unknownService`, `.wrongKind`, `.remoteListenRefused`, `.cannotListen`, `.cannotBind`,
  ///   `.configuration`.
  public static func open(
    _ configuration: Configuration, loop: EpollLoop,
    onEvent: @escaping @Sendable (TunnelEvent) -> Void = { _ in }
  ) async throws(TunnelError) -> Link {
    let link = try await Opener(loop: loop).open(configuration, onEvent: onEvent)
    do throws(TunnelError) {
      try await link.wish(configuration.remoteListeners, onEvent: onEvent)
      if let error = await link.waitUntilOpen() { throw error }
      try await link.listen(configuration.opening, credentials: configuration.proxyCredentials)
      try await link.waitForRemoteListeners()
      return link
    } catch {
      await link.close()
      throw error
    }
  }

  /// Waits until there is no session and will be none, and says why.
  public var end: TunnelError {
    get async {
      await withCheckedContinuation { outcome.whenOver($0) }
    }
  }

  /// What it is doing right now. Bounded, and cheap enough for several times a second.
  public var report: TunnelReport { core.report }

  /// The sharing side shall not listen for us any more at one of `remoteAddresses`; flows that are open
  /// go on.
  public func stopListening(at remoteAddress: SocketAddress) {
    core.remoteListeners?.remove(remoteAddress)
  }

  /// Sums so far.
  public var statistics: TunnelTotals { core.statistics }

  /// Sends a packet's worth of bytes through the session to the sharing side and back.
  ///
  /// - Returns: nil when nothing came back in time, or there is no session any more.
  public func ping(within patience: Duration) async -> PingAnswer? {
    guard let session = core.openSession else { return nil }
    let loop = self.loop
    let began = loop.now
    let isAnswered = await withCheckedContinuation { continuation in
      pings.send(on: session, loop: loop, patience: patience) { continuation.resume(returning: $0) }
    }
    guard isAnswered, let path = core.statistics.path else { return nil }
    return PingAnswer(roundTrip: loop.now - began, path: path)
  }

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

  /// Ends the session; the peer is told. Returns when the gateway has its port back.
  public func close() async {
    closeListeners()
    watcher?.close()
    pings.abandon(on: loop)
    await withCheckedContinuation { continuation in core.close { continuation.resume() } }
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
    if case .streams(let input, let output, let destination, let name) = opening {
      let wish: FlowWish
      if let destination {
        let service = try Opening.dynamicService(nil, among: core.services)
        wish = FlowWish(header: FlowHeader(service: service.name, destination: destination))
      } else {
        wish = .service(try Opening.streamService(name, among: core.services))
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

  private func wish(
    _ remote: [RemoteListener], onEvent: @escaping @Sendable (TunnelEvent) -> Void
  ) throws(TunnelError) {
    guard !remote.isEmpty else { return }
    guard remote.count <= RemoteListener.countMax else {
      throw .configuration(
        "the sharing side listens at \(RemoteListener.countMax) addresses at most")
    }
    core.remoteListeners = RemoteListeners(remote, loop: loop, onEvent: onEvent)
  }

  private func waitForRemoteListeners() async throws(TunnelError) {
    guard let remote = core.remoteListeners else { return }
    let error = await withCheckedContinuation { continuation in
      remote.whenSettled { continuation.resume(returning: $0) }
    }
    if let error { throw error }
  }

  private func closeListeners() {
    for listener in listeners { listener.close() }
  }

  private init(
    loop: EpollLoop, endpoint: EndpointCore, core: LinkCore, watcher: SystemWatcher?,
    outcome: Outcome
  ) {
    self.watcher = watcher
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
      let dialer = try Endpoint.dialer(
        endpoint: endpoint, registry: registry, loop: loop, proxy: configuration.proxy)
      let core = LinkCore(
        endpoint: endpoint, registry: registry, dialer: dialer, loop: loop,
        ticket: configuration.ticket, policy: configuration.carriers, retry: configuration.retry,
        udpTimeout: configuration.session.udpTimeout, random: { Double.random(in: 0...1) },
        onEvent: onEvent,
        opened: { outcome.open() }, over: { outcome.finish($0) })
      core.path = configuration.path
      core.waitDirect = configuration.waitDirect
      core.meeting = try Self.meeting(
        configuration, endpoint: endpoint, socket: socket, registry: registry, loop: loop,
        onEvent: onEvent)
      let watcher = try? SystemWatcher(loop: loop) { [weak core] _ in core?.lookAgain() }
      return Link(loop: loop, endpoint: endpoint, core: core, watcher: watcher, outcome: outcome)
    }

    /// How the peer is met; nil where there is nobody to ask.
    private static func meeting(
      _ configuration: Configuration, endpoint: EndpointCore, socket: UDPSocket,
      registry: PathRegistry, loop: EpollLoop, onEvent: @escaping @Sendable (TunnelEvent) -> Void
    ) throws(TunnelError) -> LinkMeeting? {
      let ticket = configuration.ticket
      let rendezvous = RendezvousAddress.merged(configuration.rendezvous, ticket.rendezvous)
      guard !rendezvous.isEmpty else {
        guard configuration.path != .relay else {
          throw .configuration("neither the ticket nor the configuration names a relay")
        }
        return nil
      }
      // Its own: a session that moves closes the carriers that it has no use for.
      let dialer = try Endpoint.dialer(
        endpoint: endpoint, registry: registry, loop: loop, proxy: configuration.proxy)
      let (meeting, clients) = MeetingCore.open(
        identity: configuration.identity.publicKey,
        role: .dialling(
          peer: ticket.identity, capability: ticket.capability, grant: ticket.grant?.bytes ?? []),
        rendezvous: rendezvous, stunServers: configuration.stunServers, endpoint: endpoint,
        socket: socket, registry: registry, dialer: dialer,
        policy: configuration.carriers.towardsRelay, path: configuration.path,
        mapsPort: configuration.mapsPort, loop: loop, onEvent: { onEvent(.meeting($0)) })
      let link = LinkMeeting(
        meeting: meeting, clients: clients, peer: ticket.identity, loop: loop)
      if configuration.path == .direct { link.patience = configuration.waitDirect }
      return link
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
