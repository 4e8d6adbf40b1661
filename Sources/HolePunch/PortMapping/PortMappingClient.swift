public import QuicTransport

/// Keeps a UDP port of the gateway mapped to one of ours, by PCP, NAT-PMP or UPnP: a source of
/// candidates of kind `mapped`. On a loop.
///
///     PCP, NAT-PMP (PortMapper) --nobody answers--> UPnP (UPnPMapper) --nothing--> rest, then again
///
/// The gateway is the one of now. Whoever moves to another network stops this and begins anew.
public final class PortMappingClient: DatagramReceiver {
  /// The outside address, while there is one.
  public private(set) var mapping: PortMapper.Mapping?
  /// Whether every protocol has been tried, or one of them has succeeded.
  public private(set) var isSettled = false

  private let road: Road
  private let loop: any EventLoop
  private let changed: () -> Void
  private var random: any RandomNumberGenerator
  private var mapper: PortMapper
  private var upnp: UPnPMapper?
  private var exchange: HTTPExchange?
  private var timer: LoopTimer?
  private var stopped: (() -> Void)?

  /// How the gateway is talked to.
  public struct Road {
    /// The default route's next hop; its port does not matter.
    public var gateway: SocketAddress
    /// Our address towards it, with the port that shall be reached.
    public var client: SocketAddress
    /// For the questions alone; closed at the end.
    public var socket: any DatagramSocket
    /// Begins a TCP connection to the gateway; nil if that is not possible.
    public var connect: (SocketAddress) -> (any StreamSocket)?

    /// A road by its parts.
    public init(
      gateway: SocketAddress, client: SocketAddress, socket: any DatagramSocket,
      connect: @escaping (SocketAddress) -> (any StreamSocket)?
    ) {
      self.gateway = gateway
      self.client = client
      self.socket = socket
      self.connect = connect
    }
  }

  /// Begins to ask. Call on the loop.
  ///
  /// - Parameters:
  ///   - random: fit for keys.
  ///   - changed: called on the loop, later, when `mapping` or `isSettled` has changed.
  public init(
    _ road: Road, loop: any EventLoop, random: any RandomNumberGenerator,
    changed: @escaping () -> Void
  ) {
    self.road = road
    self.loop = loop
    self.random = random
    self.changed = changed
    mapper = PortMapper(
      gateway: road.gateway, client: road.client, now: loop.now, using: &self.random)
    road.socket.receiver = self
    let timer = LoopTimer { [weak self] now in self?.wake(now) }
    self.timer = timer
    loop.schedule(timer, at: loop.now)
  }

  /// Maps `port` at the gateway that this machine uses now; nil where there is none, or no socket.
  public static func start(
    port: UInt16, loop: EpollLoop, changed: @escaping () -> Void
  ) -> PortMappingClient? {
    guard let gateway = DefaultGateway.ipv4(),
      let socket = try? UDPSocket(loop: loop, binding: .anyIPv4, bufferBytes: 1 << 16)
    else { return nil }
    let road = Road(
      gateway: gateway,
      client: socket.sourceAddress(towards: gateway.with(port: 1)).with(port: port),
      socket: socket
    ) { [weak loop] in
      guard let loop else { return nil }
      return try? TCPSocket.connect(loop: loop, to: $0)
    }
    return PortMappingClient(
      road, loop: loop, random: SystemRandomNumberGenerator(), changed: changed)
  }

  /// Gives the port back and releases the socket; calls `completion` on the loop when the gateway has
  /// been told, after `goodbyeMax` at the latest.
  public func stop(completion: @escaping () -> Void) {
    guard stopped == nil, timer != nil else { return completion() }
    stopped = completion
    exchange?.cancel()
    exchange = nil
    mapper.remove()
    upnp?.remove()
    drain()
    guard exchange != nil, let timer else { return finish() }
    loop.schedule(timer, at: loop.now + Self.goodbyeMax)
  }

  /// Takes a datagram from the gateway; anybody else's is ignored.
  public func receive(_ datagram: ReceivedDatagram, now: Instant) {
    let source = datagram.path.remote
    // Neither kind of message is longer.
    guard stopped == nil, source.hasSameHost(as: road.gateway),
      datagram.bytes.count <= Self.datagramMax
    else { return }
    let bytes = Array(datagram.bytes)
    if upnp == nil {
      mapper.receive(bytes, from: source, now: now)
    } else {
      upnp?.receive(bytes, from: source, now: now)
    }
    drain()
  }

  /// Does nothing: what a full socket buffer could not take is repeated soon.
  public func datagramSocketWritable(_ socket: any DatagramSocket) {}

  private static let datagramMax = 2_048
  /// A program that ends should not seem to hang; a lease that is not given back ends by itself.
  private static let goodbyeMax = Duration.milliseconds(500)
}

// MARK: - Running the machines

extension PortMappingClient {
  private func wake(_ now: Instant) {
    guard stopped == nil else { return finish() }
    if upnp == nil { mapper.handleTimeout(now: now) }
    upnp?.handleTimeout(now: now)
    drain()
  }

  private func drain() {
    while let effect = mapper.nextEffect() {
      switch effect {
      case .send(let bytes, let address): send(bytes, to: address)
      case .mapped(let new): settle(new)
      case .lost: settle(nil)
      case .unavailable:
        upnp = UPnPMapper(
          gateway: road.gateway, client: road.client, random: random, now: loop.now)
        upnp?.handleTimeout(now: loop.now)
      }
    }
    while let effect = upnp?.nextEffect() {
      switch effect {
      case .send(let bytes, let address): send(bytes, to: address)
      case .exchange(let request, let server): ask(request, server)
      case .mapped(let new): settle(new)
      case .lost: settle(nil)
      case .unavailable:
        upnp = nil
        settle(nil)
      }
    }
    schedule()
  }

  private func schedule() {
    guard let timer, stopped == nil else { return }
    let due = upnp.map(\.timeout) ?? mapper.timeout
    if let due { loop.schedule(timer, at: due) } else { loop.cancel(timer) }
  }

  private func settle(_ new: PortMapper.Mapping?) {
    let isNew = new?.outside != mapping?.outside || !isSettled
    mapping = new
    isSettled = true
    if isNew, stopped == nil { changed() }
  }

  private func ask(_ request: [UInt8], _ server: SocketAddress) {
    guard let socket = road.connect(server) else {
      // The machine is told later, as of every failure: it is being asked for effects right now.
      let timer = LoopTimer { [weak self] now in self?.received(nil, now: now) }
      loop.schedule(timer, at: loop.now)
      return
    }
    exchange = HTTPExchange(request, over: socket, loop: loop) { [weak self] response in
      guard let self else { return }
      received(response, now: loop.now)
    }
  }

  private func received(_ response: HTTPResponse?, now: Instant) {
    exchange = nil
    guard stopped == nil else { return finish() }
    upnp?.received(response, now: now)
    drain()
  }

  private func finish() {
    guard let timer else { return }
    loop.cancel(timer)
    self.timer = nil
    exchange?.cancel()
    exchange = nil
    road.socket.receiver = nil
    road.socket.close()
    stopped?()
    stopped = nil
  }

  private func send(_ bytes: [UInt8], to address: SocketAddress) {
    guard !road.socket.isBlocked else { return }
    bytes.withUnsafeBytes { bytes in
      let path = NetworkPath(local: .any, remote: address)
      _ = road.socket.send(
        DatagramBatch(bytes: bytes, segmentSize: bytes.count, path: path, ecn: .notCapable))
    }
  }
}
