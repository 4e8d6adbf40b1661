internal import Glibc
internal import HolePunch
public import QuicTransport

/// Local services, offered to whoever holds the ticket.
///
///     let share = try await Share.open(configuration, loop: loop) { event in ... }
///     print(share.ticket.text)
///     ...
///     await share.drain(within: .seconds(30))
public actor Share {
  /// The invitation for the connecting side. As secret as a password.
  public nonisolated let ticket: Ticket
  /// The UDP and TCP address that peers reach us at.
  public nonisolated let localAddress: SocketAddress

  private let loop: EpollLoop
  /// The same port as `localAddress`, for peers that UDP does not reach.
  private let listener: TCPListener
  private let core: ShareCore
  private let meeting: MeetingCore?
  /// One for each relay, where something is shared publicly.
  private let publicPlaces: [PublicPlaces]
  /// One for each service that is checked.
  private let health: [HealthWatch]
  /// Nil where a sandbox allows none: changes are then noticed by probes.
  private let watcher: SystemWatcher?

  /// The loop: everything of the share happens there.
  public nonisolated var unownedExecutor: UnownedSerialExecutor {
    loop.asUnownedSerialExecutor()
  }

  /// What to share and how.
  public struct Configuration: Sendable {
    /// Whom tickets name.
    public var identity: Identity
    /// What is offered: one or more, `Service.countMax` at most, no name twice.
    public var services: [Service]
    /// The UDP address to listen on; `SocketAddress.any` with port 0 for a free port of both
    /// families.
    public var listenAddress: SocketAddress
    /// What tickets prove (`Ticket.capabilityCount` bytes). A fresh one makes earlier tickets
    /// worthless; one derived from the identity keeps them valid.
    public var capability: SecretBytes
    /// Who may come in, beyond holding a ticket.
    public var access: AccessRules
    /// Where peers may have this side listen for them; nil for nowhere. Not with a ticket that is for
    /// some services only.
    public var listenRules: ListenRules?
    /// How sessions behave.
    public var session: SessionSettings
    /// Who brings peers to us where they cannot reach us; tickets name them.
    public var rendezvous: [RendezvousAddress] = []
    /// Whether sessions may go directly, through a relay, or either way. With `.relay`, tickets have
    /// no address, and peers are told none.
    public var path = PathPolicy.automatic
    /// Whether the gateway is asked for a port, where there is a rendezvous.
    public var mapsPort = true
    /// For those of them that want one; each is shown to the relay that it is for, and to no other.
    public var relayTokens: [RelayToken] = []
    /// STUN servers to ask besides: further vantage points.
    public var stunServers: [SocketAddress] = []
    /// Whether HTTP requests that pass are told of (`TunnelEvent.request`). It costs a look at each
    /// head, and nothing where it is false.
    public var watchesRequests = false
    /// What the relays in `rendezvous` shall listen at publicly: `PublicWish.countMax` at most, each
    /// for a service of TCP, UDP, a Unix socket or a folder.
    public var publicWishes: [PublicWish] = []
    /// How the targets of what is public are checked; nil for not at all.
    public var health: HealthCheck?
    /// Others who share the same public places; nil for nobody.
    public var publicGroup: PublicGroup?
    /// Whether tickets leave our own addresses out, so that peers come by a rendezvous only.
    public var hidesAddresses = false

    /// A free port of every address and a ticket of its own, so that a new start takes a new ticket.
    /// Change what should be different.
    public static func standard(identity: Identity, services: [Service]) -> Configuration {
      Configuration(
        identity: identity, services: services, listenAddress: .any,
        capability: Ticket.makeCapability(), access: .ticketAlone, session: .standard)
    }

    /// All of it; nothing has a default that changes behaviour.
    public init(
      identity: Identity, services: [Service], listenAddress: SocketAddress,
      capability: SecretBytes, access: AccessRules, session: SessionSettings
    ) {
      self.access = access
      self.capability = capability
      self.identity = identity
      self.services = services
      self.listenAddress = listenAddress
      self.session = session
    }
  }

  /// Listens and returns at once; sessions are reported by `onEvent`, on the loop. It may be left out.
  ///
  /// - Throws: `.cannotBind`, `.configuration`, `.accessFile`.
  public static func open(
    _ configuration: Configuration, loop: EpollLoop,
    onEvent: @escaping @Sendable (TunnelEvent) -> Void = { _ in }
  ) async throws(TunnelError) -> Share {
    try await Opener(loop: loop).open(configuration, onEvent: onEvent)
  }

  /// What it is doing right now. Bounded, and cheap enough for several times a second.
  public var report: TunnelReport {
    var report = core.report
    report.totals = statistics
    report.publicAddresses = publicPlaces.flatMap(\.addresses)
    report.health = health.map(\.report)
    report.relays = meeting?.relayReports ?? []
    return report
  }

  /// Sums so far.
  public var statistics: TunnelTotals {
    var totals = publicPlaces.reduce(into: core.statistics) { $0.add(flowsOf: $1.statistics) }
    totals.targetsDown = health.count { $0.report.isUp == false }
    return totals
  }

  /// Takes no more sessions and flows, and returns when those that are open have ended or `grace`
  /// is over. Call `close` next.
  ///
  /// - Returns: whether the session that was opened last confirmed that its programs have
  ///   everything.
  @discardableResult
  public func drain(within grace: Duration) async -> Bool {
    let loop = self.loop
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      let once = Once(continuation, loop: loop, deadline: loop.now + grace)
      var left = 1 + publicPlaces.count
      let done = {
        left -= 1
        if left == 0 { once.resume() }
      }
      core.drain(completion: done)
      for places in publicPlaces { places.drain(completion: done) }
    }
    return core.isConfirmed
  }

  /// Whether something accepts connections at a service's target right now: 0, or the `errno` of
  /// trying. Always 0 for UDP, where only a program's own question could tell.
  public func probeTarget(of service: String) async -> Int32 {
    await withCheckedContinuation { continuation in
      core.probeTarget(of: service) { continuation.resume(returning: $0) }
    }
  }

  /// Ends every session; peers are told. Returns when the gateway has its port back.
  public func close() async {
    listener.close()
    watcher?.close()
    for places in publicPlaces { places.close() }
    for watch in health { watch.stop() }
    core.close()
    guard let meeting else { return }
    await withCheckedContinuation { continuation in
      meeting.close { continuation.resume() }
    }
  }

  private init(
    loop: EpollLoop, ticket: Ticket, localAddress: SocketAddress, listener: TCPListener,
    core: ShareCore, watcher: SystemWatcher?, meeting: MeetingCore?,
    publicPlaces: [PublicPlaces], health: [HealthWatch]
  ) {
    self.publicPlaces = publicPlaces
    self.health = health
    self.watcher = watcher
    self.meeting = meeting
    self.loop = loop
    self.listener = listener
    self.ticket = ticket
    self.localAddress = localAddress
    self.core = core
  }

  /// Sets a share up on the loop, before the actor that owns it exists.
  private actor Opener {
    private let loop: EpollLoop

    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    init(loop: EpollLoop) {
      self.loop = loop
    }

    func open(
      _ configuration: Configuration, onEvent: @escaping @Sendable (TunnelEvent) -> Void
    ) throws(TunnelError) -> Share {
      let identity = configuration.identity
      try Self.check(configuration.services)
      // SAFETY: everything in it, this actor and the share live on `loop`.
      nonisolated(unsafe) let gate = try Self.gate(configuration)
      // SAFETY: everything in it, this actor and the share live on `loop`.
      nonisolated(unsafe) let bound = try bind(configuration)
      let (endpoint, socket) = (bound.endpoint, bound.socket)
      let candidates = HostCandidates.gather(
        addresses: NetworkInterfaces.addresses(), socket: socket.localAddress,
        hasIPv6: !socket.localAddress.isIPv4, count: Ticket.addressesMax)
      var ticket = Ticket(
        identity: identity.publicKey, capability: configuration.capability,
        port: configuration.services[0].suggestedPort,
        addresses: configuration.hidesAddresses || !configuration.path.looksForDirect
          ? [] : candidates.map(\.address))
      ticket.rendezvous = configuration.rendezvous
      let loop = self.loop
      nonisolated(unsafe) let listener = bound.listener
      var streamsAreTaken = false
      nonisolated(unsafe) let core = ShareCore(
        endpoint: endpoint, registry: bound.registry, carriers: bound.carriers, loop: loop,
        gate: gate, services: configuration.services,
        udpTimeout: configuration.session.udpTimeout,
        connect: { address throws(RuntimeError) in
          switch address {
          case .tcp(let address): return try TCPSocket.connect(loop: loop, to: address)
          case .unix(let path): return try UnixSocket.connect(loop: loop, to: path)
          case .streams(let input, let output):
            guard !streamsAreTaken else { throw .system("streams", EBUSY) }
            streamsAreTaken = true
            return try StandardStreams(loop: loop, input: input, output: output)
          case .folder(let path):
            // Opened anew for each connection: a site may be put in its place by renaming.
            return FolderSocket(folder: try SharedFolder(path: path), loop: loop)
          }
        },
        connectDatagrams: { address throws(RuntimeError) in
          try UDPSocket(
            loop: loop, opening: address.map { .target($0) } ?? .programs(.any),
            bufferBytes: SessionSettings.socketBufferBytes)
        }, finder: Self.finder(loop: loop), onEvent: onEvent)
      core.reverseOffer = configuration.listenRules.map { ReverseOffer(rules: $0, loop: loop) }
      core.watchesRequests = configuration.watchesRequests
      nonisolated(unsafe) let health = makeHealth(configuration, core, onEvent)
      nonisolated(unsafe) let publicPlaces = try makePublicPlaces(
        configuration, core, health, onEvent)
      nonisolated(unsafe) let meeting = try openMeeting(
        configuration, bound: bound, gate: gate, publicPlaces: publicPlaces, onEvent: onEvent)
      nonisolated(unsafe) let watcher = try? SystemWatcher(loop: loop) {
        [weak core, weak meeting] _ in
        core?.lookAgain()
        meeting?.networkChanged()
      }
      return Share(
        loop: loop, ticket: ticket, localAddress: socket.localAddress, listener: listener,
        core: core, watcher: watcher, meeting: meeting, publicPlaces: publicPlaces, health: health)
    }

    private func openMeeting(
      _ configuration: Configuration, bound: Bound, gate: Gate, publicPlaces: [PublicPlaces],
      onEvent: @escaping @Sendable (TunnelEvent) -> Void
    ) throws(TunnelError) -> MeetingCore? {
      guard !configuration.rendezvous.isEmpty else { return nil }
      let dialer = try Endpoint.dialer(
        endpoint: bound.endpoint, registry: bound.registry, loop: loop, proxy: nil)
      let (meeting, clients) = MeetingCore.open(
        identity: configuration.identity.publicKey,
        role: .sharing(capability: { [weak gate] in gate?.capability(ofGrant: $0) }),
        rendezvous: configuration.rendezvous, stunServers: configuration.stunServers,
        endpoint: bound.endpoint, socket: bound.socket, registry: bound.registry,
        dialer: dialer, policy: .automatic, path: configuration.path,
        mapsPort: configuration.mapsPort, loop: loop, onEvent: { onEvent(.meeting($0)) })
      for client in clients {
        client.token = configuration.relayTokens.first { $0.isFor(client.rendezvous.key) }
      }
      for (client, places) in zip(clients, publicPlaces) { client.publicPlaces = places }
      meeting.start(clients)
      return meeting
    }

    /// Begins to check what is public.
    private func makeHealth(
      _ configuration: Configuration, _ core: ShareCore,
      _ onEvent: @escaping @Sendable (TunnelEvent) -> Void
    ) -> [HealthWatch] {
      guard let check = configuration.health else { return [] }
      let connect = core.publicTargets.connect
      let watched = configuration.services.compactMap { service -> HealthWatch? in
        guard configuration.publicWishes.contains(where: { $0.service == service.name }) else {
          return nil
        }
        return HealthWatch(
          service: service.name, route: service.route, check: check, loop: loop,
          connect: connect, onEvent: onEvent)
      }
      for watch in watched { watch.start() }
      return watched
    }

    /// One for each rendezvous.
    private func makePublicPlaces(
      _ configuration: Configuration, _ core: ShareCore, _ health: [HealthWatch],
      _ onEvent: @escaping @Sendable (TunnelEvent) -> Void
    ) throws(TunnelError) -> [PublicPlaces] {
      guard !configuration.publicWishes.isEmpty else { return [] }
      guard configuration.publicWishes.count <= PublicWish.countMax else {
        throw .configuration("a share has \(PublicWish.countMax) public addresses at most")
      }
      var wishes: [(wish: PublicWish, service: Service, label: [UInt8])] = []
      for wish in configuration.publicWishes {
        guard let service = configuration.services.first(where: { $0.name == wish.service }) else {
          throw .configuration("there is no service \(wish.service) to listen publicly for")
        }
        wishes.append((wish, service, configuration.label(of: service, for: wish)))
      }
      var targets = core.publicTargets
      targets.health = health
      return configuration.rendezvous.prefix(RendezvousAddress.countMax).map { rendezvous in
        PublicPlaces(
          wishes, group: configuration.publicGroup, relay: rendezvous.key, targets: targets,
          loop: loop, onEvent: onEvent)
      }
    }

    private static func finder(loop: EpollLoop) -> TargetFinder {
      let lookups = NameLookups(loop: loop)
      return TargetFinder(
        lookUp: { lookups.start($0, count: Self.targetAddressesMax, completion: $1) },
        ownAddresses: NetworkInterfaces.addresses)
    }

    /// Of one name: as many as a dialer may wait for, one after the other.
    private static let targetAddressesMax = 8

    private struct Bound {
      let endpoint: EndpointCore
      let socket: UDPSocket
      let registry: PathRegistry
      let carriers: CarrierListener
      let listener: TCPListener
    }

    /// Binds UDP and TCP to one port. A free UDP port that the system picked may be taken for TCP:
    /// then it picks another.
    private func bind(_ configuration: Configuration) throws(TunnelError) -> Bound {
      var attemptsLeft = configuration.listenAddress.port == 0 ? Endpoint.portAttempts : 1
      while true {
        let (endpoint, socket) = try Endpoint.open(
          loop: loop, identity: configuration.identity, settings: configuration.session,
          binding: configuration.listenAddress, acceptsConnections: true)
        let registry = PathRegistry(endpoint: endpoint)
        let carriers = try Endpoint.carriers(endpoint: endpoint, registry: registry, loop: loop)
        attemptsLeft -= 1
        do throws(TunnelError) {
          let listener = try Endpoint.listen(socket, loop: loop, carriers: carriers)
          return Bound(
            endpoint: endpoint, socket: socket, registry: registry, carriers: carriers,
            listener: listener)
        } catch {
          if attemptsLeft == 0 { throw error }
        }
      }
    }

    private static func gate(_ configuration: Configuration) throws(TunnelError) -> Gate {
      do throws(AccessProblem) {
        return try Gate(
          root: configuration.capability, rules: configuration.access, wallClock: WallClock.now)
      } catch {
        throw .accessFile(error)
      }
    }

    private static func check(_ services: [Service]) throws(TunnelError) {
      guard !services.isEmpty, services.count <= Service.countMax else {
        throw .configuration("a share has 1 to \(Service.countMax) services")
      }
      guard Set(services.map(\.name)).count == services.count else {
        throw .configuration("two services have the same name")
      }
    }
  }
}
