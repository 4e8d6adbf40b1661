public import QuicTransport

/// Measures the network between two sockets and the world, for IPv4 and IPv6 side by side: `NATProbe`s
/// on a loop.
public final class NetworkCheck: DatagramReceiver {
  /// What is known of IPv4 and IPv6 by now.
  public private(set) var ipv4: NATProbe
  /// The same for IPv6.
  public private(set) var ipv6: NATProbe
  /// Whether everybody who was added has answered, or has not for long enough.
  public var isComplete: Bool { ipv4.isComplete && ipv6.isComplete }

  private let main: any DatagramSocket
  private let spare: any DatagramSocket
  private let loop: any EventLoop
  private let changed: () -> Void
  private var timer: LoopTimer?

  /// Waits for servers. Call on the loop.
  ///
  /// - Parameters:
  ///   - main: the socket in question.
  ///   - spare: another one like it, for what may spoil a port.
  ///   - interfaces: this machine's addresses.
  ///   - random: fit for keys.
  ///   - changed: called on the loop after each answer and each timeout.
  public init(
    main: any DatagramSocket, spare: any DatagramSocket, interfaces: [SocketAddress],
    loop: any EventLoop, random: any RandomNumberGenerator, changed: @escaping () -> Void
  ) {
    self.main = main
    self.spare = spare
    self.loop = loop
    self.changed = changed
    ipv4 = NATProbe(
      servers: [], interfaces: interfaces, port: main.localAddress.port, random: random,
      now: loop.now)
    ipv6 = NATProbe(
      servers: [], interfaces: interfaces, port: main.localAddress.port, random: random,
      now: loop.now)
    timer = LoopTimer { [weak self] now in self?.wake(now) }
    main.receiver = self
    spare.receiver = self
  }

  /// Asks one more STUN server.
  public func add(_ server: SocketAddress) {
    if server.isIPv4 {
      ipv4.add(server, now: loop.now)
    } else {
      ipv6.add(server, now: loop.now)
    }
    drain()
  }

  /// Stops asking; the sockets stay the caller's.
  public func stop() {
    main.receiver = nil
    spare.receiver = nil
    if let timer { loop.cancel(timer) }
    timer = nil
  }

  /// Takes a datagram from one of the sockets; what is no answer is ignored.
  public func receive(_ datagram: ReceivedDatagram, now: Instant) {
    let source = datagram.path.remote
    guard datagram.bytes.count <= Self.datagramMax else { return }
    let bytes = Array(datagram.bytes)
    let onSpare = datagram.path.local.port == spare.localAddress.port
    let isOurs =
      source.isIPv4
      ? ipv4.receive(bytes, from: source, onSpare: onSpare, now: now)
      : ipv6.receive(bytes, from: source, onSpare: onSpare, now: now)
    guard isOurs else { return }
    drain()
    changed()
  }

  /// Does nothing: what a full socket buffer could not take is repeated soon.
  public func datagramSocketWritable(_ socket: any DatagramSocket) {}

  private func wake(_ now: Instant) {
    ipv4.handleTimeout(now: now)
    ipv6.handleTimeout(now: now)
    drain()
    changed()
  }

  private func drain() {
    while let effect = ipv4.nextEffect() { send(effect) }
    while let effect = ipv6.nextEffect() { send(effect) }
    guard let timer else { return }
    let due = [ipv4.timeout, ipv6.timeout].compactMap(\.self).min()
    if let due { loop.schedule(timer, at: due) } else { loop.cancel(timer) }
  }

  private func send(_ effect: NATProbe.Effect) {
    let socket = effect.fromSpare ? spare : main
    guard !socket.isBlocked else { return }
    effect.bytes.withUnsafeBytes { bytes in
      let path = NetworkPath(local: .any, remote: effect.destination)
      _ = socket.send(
        DatagramBatch(bytes: bytes, segmentSize: bytes.count, path: path, ecn: .notCapable))
    }
  }

  /// STUN messages that we understand are shorter.
  private static let datagramMax = 1_500
}
