internal import Glibc
internal import HolePunch
public import QuicTransport

/// A public node that introduces others to each other.
///
///     let relay = try await Relay.open(configuration, loop: loop) { event in ... }
///     print(relay.identity, relay.localAddress)
public actor Relay {
  /// What nodes pin.
  public nonisolated let identity: PublicKey
  /// The UDP and TCP address that nodes reach it at.
  public nonisolated let localAddress: SocketAddress
  /// The UDP ports that answer STUN.
  public nonisolated let stunPorts: [UInt16]
  /// The loops that forward datagrams: as many as were asked for, or one.
  public nonisolated let cores: Int
  /// Why there is only one although more were asked for.
  public nonisolated let coresRefusal: RuntimeError?
  /// The ports that shares have in common, by what they speak.
  public nonisolated let doors: [PublicKind: SocketAddress]
  /// Where shares that are reached by HTTPS are reached by HTTP/3 as well.
  public nonisolated let http3Address: SocketAddress?

  private let loop: EpollLoop
  private let listener: TCPListener
  private let stun: STUNService
  private let core: RelayCore
  private let leases: LeaseFile?
  private let began: Instant
  private var admin: AdminListener?
  private var lag: LoopLag?

  /// The loop: everything of the relay happens there.
  public nonisolated var unownedExecutor: UnownedSerialExecutor {
    loop.asUnownedSerialExecutor()
  }

  /// What to serve and where.
  public struct Configuration: Sendable {
    /// What nodes pin.
    public var identity: Identity
    /// The UDP and TCP address to listen on.
    public var listenAddress: SocketAddress
    /// Who may register.
    public var access: RelayAccess
    /// What is granted to whom.
    public var limits: RelayLimits
    /// Where it listens for nodes; nil for nowhere.
    public var listening: PublicSettings?
    /// The loops that forward datagrams, each but the first on a thread of its own; up to
    /// `Relay.coresMax`.
    public var cores: Int

    /// All of it; nothing has a default that changes behaviour.
    public init(
      identity: Identity, listenAddress: SocketAddress, access: RelayAccess, limits: RelayLimits,
      cores: Int
    ) {
      precondition((1...Relay.coresMax).contains(cores))
      self.identity = identity
      self.listenAddress = listenAddress
      self.access = access
      self.limits = limits
      self.cores = cores
    }
  }

  /// One byte of a session's number names its loop; beyond this many they would get unequal parts.
  public static let coresMax = 64

  /// The port of a relay where none is named: STUN's own (RFC 8489 §9), since it answers STUN.
  public static let defaultPort: UInt16 = 3_478

  /// Listens and returns at once; `onEvent` is called on the loop.
  ///
  /// - Throws: `.cannotBind`, `.configuration`, `.accessFile`.
  public static func open(
    _ configuration: Configuration, loop: EpollLoop,
    onEvent: @escaping @Sendable (RelayEvent) -> Void
  ) async throws(TunnelError) -> Relay {
    try await Opener(loop: loop).open(configuration, onEvent: onEvent)
  }

  /// Sums so far.
  public var totals: RelayTotals { core.report }

  /// Answers operators at an address: `/metrics`, `/healthz`, `/readyz`. Nil closes it.
  ///
  /// - Throws: `.cannotBind`; the former address is served as before then.
  public func serveAdmin(at address: SocketAddress?) throws(TunnelError) {
    replaceAdmin(with: try openAdmin(at: address))
  }

  /// Where operators are answered.
  public var adminAddress: SocketAddress? { admin?.localAddress }

  /// Takes other settings, all or, where it throws, none.
  ///
  /// - Parameter listening: of which the names and the host can change.
  /// - Throws: `.accessFile`, `.cannotBind`.
  public func apply(
    access: RelayAccess, limits: RelayLimits, listening: PublicSettings?, admin: AdminChange
  ) throws(TunnelError) {
    var fresh: AdminListener?
    if case .to(let address) = admin { fresh = try openAdmin(at: address) }
    do throws(AccessProblem) {
      try core.apply(access)
    } catch {
      fresh?.close()
      throw .accessFile(error)
    }
    core.apply(limits)
    if let listening {
      core.publicListeners?.apply(names: listening.names, host: listening.host)
    }
    if case .to = admin { replaceAdmin(with: fresh) }
  }

  /// What becomes of the admin address.
  public enum AdminChange: Sendable {
    case none
    /// Nil closes it.
    case to(SocketAddress?)
  }

  private func openAdmin(at address: SocketAddress?) throws(TunnelError) -> AdminListener? {
    guard let address else { return nil }
    do throws(RuntimeError) {
      return try AdminListener(loop: loop, address: address) { [weak self] path in
        self?.assumeIsolated { $0.answer(path) }
          ?? AdminResponse(.unavailable, body: "stopped\n")
      }
    } catch {
      throw .cannotBind(address, error)
    }
  }

  private func replaceAdmin(with listener: AdminListener?) {
    admin?.close()
    admin = listener
    lag?.stop()
    lag = listener == nil ? nil : LoopLag(loop: loop)
  }

  private func answer(_ path: String) -> AdminResponse {
    let totals = core.report
    switch path {
    case "/metrics":
      let metrics = RelayMetrics(
        totals: totals, process: .read(), lag: lag?.longest ?? .zero, uptime: loop.now - began)
      return AdminResponse(.ok, body: metrics.text)
    case "/healthz": return AdminResponse(.ok, body: "ok\n")
    case "/readyz":
      return totals.isDraining
        ? AdminResponse(.unavailable, body: "draining\n") : AdminResponse(.ok, body: "ready\n")
    default:
      return AdminResponse(
        .notFound, body: "there are /metrics, /healthz and /readyz here\n")
    }
  }

  /// Tells every node that the relay is about to stop, takes nobody new, and waits until no session
  /// crosses it any more, or `grace` is over. Call `close` next.
  public func drain(within grace: Duration) async {
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      core.drain(within: grace) { continuation.resume() }
    }
  }

  /// Ends every connection, and returns when all threads have let go of the port; nodes are told, and
  /// paths that stand between them are not touched.
  public func close() async {
    replaceAdmin(with: nil)
    listener.close()
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      core.close { continuation.resume() }
    }
    stun.close()
    leases?.close()
  }

  private init(
    loop: EpollLoop, identity: PublicKey, localAddress: SocketAddress, listener: TCPListener,
    stun: STUNService, core: RelayCore, leases: LeaseFile?, cores: RelayCores
  ) {
    self.cores = cores.team?.count ?? 1
    coresRefusal = cores.refusal
    self.leases = leases
    doors = core.publicListeners?.doorAddresses ?? [:]
    http3Address = core.publicListeners?.http3?.address
    self.loop = loop
    self.identity = identity
    self.localAddress = localAddress
    self.listener = listener
    self.stun = stun
    self.core = core
    began = loop.now
    stunPorts = stun.ports
  }

  /// Sets a relay up on the loop, before the actor that owns it exists.
  private actor Opener {
    private let loop: EpollLoop

    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    init(loop: EpollLoop) {
      self.loop = loop
    }

    func open(
      _ configuration: Configuration, onEvent: @escaping @Sendable (RelayEvent) -> Void
    ) throws(TunnelError) -> Relay {
      var attemptsLeft = configuration.listenAddress.port == 0 ? Endpoint.portAttempts : 1
      while true {
        attemptsLeft -= 1
        let socket = try bind(configuration.listenAddress)
        let address = socket.localAddress
        do throws(TunnelError) {
          return try open(configuration, socket: socket, onEvent: onEvent)
        } catch {
          socket.close()
          guard attemptsLeft > 0, case .cannotBind(address, _) = error else { throw error }
        }
      }
    }

    private func open(
      _ configuration: Configuration, socket: UDPSocket,
      onEvent: @escaping @Sendable (RelayEvent) -> Void
    ) throws(TunnelError) -> Relay {
      let endpoint: EndpointCore
      do throws(QuicError) {
        var settings = RelayCore.endpointSettings(
          identity: configuration.identity, limits: configuration.limits,
          listensPublicly: configuration.listening != nil)
        settings.resetKey = Endpoint.resetKey(
          of: configuration.identity, at: socket.localAddress)
        endpoint = try EndpointCore(loop: loop, settings: settings)
      } catch {
        throw TunnelError(error)
      }
      endpoint.add(socket)
      let registry = PathRegistry(endpoint: endpoint)
      let carriers = try Endpoint.carriers(endpoint: endpoint, registry: registry, loop: loop)
      let gate = try Self.gate(configuration.access)
      // SAFETY: everything in them, this actor and the relay live on `loop`.
      nonisolated(unsafe) let listener = try Endpoint.listen(
        socket, loop: loop, carriers: carriers)
      let second: UDPSocket
      do throws(TunnelError) {
        second = try bindSecond(socket.localAddress)
      } catch {
        listener.close()
        throw error
      }
      nonisolated(unsafe) let stun = STUNService(
        endpoint: endpoint, port: socket.localAddress.port, second: second)
      registry.onOther = { [weak stun] datagram, now in stun?.receive(datagram, now: now) }
      let cores = RelayCores.open(
        configuration.cores, beside: socket, loop: loop, limits: configuration.limits.forwarding)
      nonisolated(unsafe) let core = RelayCore(
        endpoint: endpoint, registry: registry, carriers: carriers, loop: loop,
        limits: configuration.limits, gate: gate, stunPorts: stun.ports,
        time: WallClock.now(), team: cores.team, onEvent: onEvent)
      nonisolated(unsafe) var leases: LeaseFile?
      if let listening = configuration.listening {
        do throws(TunnelError) {
          leases = try listening.open(
            at: socket.localAddress, limits: configuration.limits.listening, core: core,
            loop: loop, onEvent: onEvent)
        } catch {
          core.close()
          listener.close()
          stun.close()
          throw error
        }
      }
      return Relay(
        loop: loop, identity: configuration.identity.publicKey,
        localAddress: socket.localAddress, listener: listener, stun: stun, core: core,
        leases: leases, cores: cores)
    }

    private static func gate(_ access: RelayAccess) throws(TunnelError) -> RelayGate {
      do throws(AccessProblem) {
        return try RelayGate(access: access, wallClock: WallClock.now)
      } catch {
        throw .accessFile(error)
      }
    }

    private func bind(_ address: SocketAddress) throws(TunnelError) -> UDPSocket {
      do throws(RuntimeError) {
        return try UDPSocket(
          loop: loop, binding: address, bufferBytes: SessionSettings.socketBufferBytes)
      } catch {
        throw .cannotBind(address, error)
      }
    }

    /// The next port, which firewalls can be told in advance, or any other that is free.
    private func bindSecond(_ address: SocketAddress) throws(TunnelError) -> UDPSocket {
      let next = address.with(port: address.port == .max ? 0 : address.port + 1)
      do throws(TunnelError) {
        return try bind(next)
      } catch {
        return try bind(address.with(port: 0))
      }
    }
  }
}

extension RelayCore {
  /// An endpoint for nodes.
  static func endpointSettings(
    identity: Identity, limits: RelayLimits, listensPublicly: Bool = false
  ) -> EndpointSettings {
    var transport = TransportSettings()
    transport.idleTimeout = idleTimeout
    transport.bidirectionalStreamsMax = 1
    transport.unidirectionalStreamsMax = 0
    // Of thousands of nodes, each one's keep-alive comes alone.
    transport.acknowledgesAtOnce = true
    if listensPublicly {
      // What nodes send to visitors. Nothing is held for a node without listeners, which has no
      // stream but the one that is read at once.
      transport.streamWindowMax = visitorWindow
      transport.connectionWindowMax = nodeWindow
      transport.stalledBytesMax = nodeWindow
    } else {
      transport.streamWindowInitial = streamWindow
      transport.streamWindowMax = streamWindow
      transport.connectionWindowInitial = streamWindow
      transport.connectionWindowMax = streamWindow
    }
    var settings = EndpointSettings(
      authentication: .rawPublicKey(identity), applicationProtocols: [applicationProtocol],
      transport: transport, acceptsConnections: true)
    // Those who are about to greet come on top.
    settings.connectionsMax = limits.nodesMax + settings.handshakesMax
    return settings
  }

  /// 100 ms at 320 Mbit/s for one visitor, and four times as much for all of a node: what a relay
  /// may have to hold when visitors are slow.
  private static let visitorWindow = 4 * 1024 * 1024
  private static let nodeWindow = 16 * 1024 * 1024
  /// Many of the longest messages.
  private static let streamWindow = 64 * 1024
}
