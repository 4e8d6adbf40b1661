internal import QuicTransport

/// The UDP sockets that a node punches with, by number: 0 is the one that QUIC has, others are
/// opened on the way. One that may become a path is handed to the endpoint, which then takes QUIC
/// from it as well.
final class PunchSockets {
  /// Takes what is not QUIC, from every socket but the endpoint's own.
  var onDatagram: ((ReceivedDatagram, Instant) -> Void)?

  /// The socket that peers are told of; never closed.
  var offered = 0
  /// When sockets were handed over.
  private var handedOver: [Int: Instant] = [:]
  private let endpoint: EndpointCore
  private let registry: PathRegistry
  private let makeSocket: () -> (any DatagramSocket)?
  private var sockets: [Int: any DatagramSocket]
  private var numbers: [UInt16: Int]
  private var lastNumber = 0

  /// - Parameters:
  ///   - main: the endpoint's UDP socket.
  ///   - makeSocket: opens one on a port of the system's choice; nil when there is none to be had.
  init(
    main: any DatagramSocket, endpoint: EndpointCore, registry: PathRegistry,
    makeSocket: @escaping () -> (any DatagramSocket)?
  ) {
    self.endpoint = endpoint
    self.registry = registry
    self.makeSocket = makeSocket
    sockets = [0: main]
    numbers = [main.localAddress.port: 0]
  }

  /// The number of a new socket; nil when the system has none.
  func open() -> Int? {
    closeUnused()
    guard sockets.count < Self.countMax, let socket = makeSocket() else { return nil }
    lastNumber += 1
    sockets[lastNumber] = socket
    numbers[socket.localAddress.port] = lastNumber
    socket.receiver = self
    return lastNumber
  }

  /// The numbers of so many new sockets. Where the system has fewer, some are left to others: a
  /// search must not keep programs from connecting.
  func open(_ count: Int) -> [Int] {
    var numbers: [Int] = []
    while numbers.count < count, let number = open() { numbers.append(number) }
    guard numbers.count < count else { return numbers }
    for number in numbers.suffix(Self.reserve) { close(number) }
    return numbers.dropLast(Self.reserve)
  }

  /// Lets QUIC use a socket too.
  func handOver(_ number: Int) {
    guard let socket = sockets[number], !endpoint.has(socket) else { return }
    endpoint.add(socket)
    handedOver[number] = endpoint.loop.now
  }

  /// Whether QUIC has it.
  func isHandedOver(_ number: Int) -> Bool { handedOver[number] != nil }

  /// Closes what was handed over for sessions that are gone, or never came.
  private func closeUnused() {
    let now = endpoint.loop.now
    for (number, since) in handedOver where number != offered && now - since > Self.sessionDelay {
      if !registry.usesPort(port(of: number)) { close(number) }
    }
  }

  /// Closes one of the opened sockets.
  func close(_ number: Int) {
    guard number != 0, let socket = sockets.removeValue(forKey: number) else { return }
    numbers[socket.localAddress.port] = nil
    handedOver[number] = nil
    endpoint.remove(socket)
    socket.close()
  }

  /// Closes what QUIC does not have; the rest closes with the endpoint, after its farewells.
  func closeAll() {
    for number in sockets.keys where !isHandedOver(number) { close(number) }
  }

  /// The number of the socket that a datagram came to.
  func number(of path: NetworkPath) -> Int? { numbers[path.local.port] }

  func port(of number: Int) -> UInt16 { sockets[number]?.localAddress.port ?? 0 }

  /// What QUIC calls the road from a socket to an address.
  func path(from number: Int, to remote: SocketAddress) -> NetworkPath? {
    sockets[number].map { NetworkPath(local: $0.sourceAddress(towards: remote), remote: remote) }
  }

  /// Sends one datagram. A full socket loses it, as networks do.
  func send(_ bytes: [UInt8], from number: Int, to remote: SocketAddress, hopLimit: UInt8?) {
    guard let socket = sockets[number], !socket.isBlocked else { return }
    bytes.withUnsafeBytes { bytes in
      var batch = DatagramBatch(
        bytes: bytes, segmentSize: bytes.count,
        path: NetworkPath(local: socket.localAddress, remote: remote), ecn: .notCapable)
      batch.hopLimit = hopLimit
      _ = socket.send(batch)
    }
  }

  /// Descriptors for a few listeners and connections.
  static let reserve = 16
  /// A session that is going to use a path is open long before.
  private static let sessionDelay = Duration.seconds(60)
  /// A birthday search has 256; several may run.
  private static let countMax = 1_024
}

extension PunchSockets: DatagramReceiver {
  func receive(_ datagram: ReceivedDatagram, now: Instant) {
    guard let first = datagram.bytes.first, first & 0xc0 == 0 else { return }
    onDatagram?(datagram, now)
  }

  func datagramSocketWritable(_ socket: any DatagramSocket) {}
}
