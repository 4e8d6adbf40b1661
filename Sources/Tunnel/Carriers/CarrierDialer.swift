internal import QuicTransport

/// The dialling side of carriers over byte streams.
final class CarrierDialer {
  /// Opens a connection to one address.
  typealias Connect = (SocketAddress) throws(RuntimeError) -> any StreamSocket

  private let endpoint: EndpointCore
  private let registry: PathRegistry
  private let credentials: TLSStreamCredentials
  private let loop: any EventLoop
  private let connect: Connect
  private let numbers = CarrierNumbers()
  private var carriers: [NetworkPath: Dialled] = [:]

  private struct Dialled {
    let carrier: StreamCarrier
    let remote: SocketAddress
    let deadline: LoopTimer
    /// Called once: with the carrier when it is ready, with nil when it is not going to be.
    var settled: ((StreamCarrier?) -> Void)?
  }

  init(
    endpoint: EndpointCore, registry: PathRegistry, loop: any EventLoop,
    connect: @escaping Connect
  ) throws(QuicError) {
    self.endpoint = endpoint
    self.registry = registry
    self.loop = loop
    self.connect = connect
    credentials = try TLSStreamCredentials()
  }

  /// Opens a carrier to `address`; does nothing but answer nil if there is one or one is being
  /// opened.
  func open(
    _ address: SocketAddress, kind: CarrierKind, settled: @escaping (StreamCarrier?) -> Void
  ) {
    guard !carriers.values.contains(where: { $0.remote == address && $0.carrier.kind == kind }),
      let socket = try? connect(address),
      let stream = try? TLSStream(
        socket: socket, role: .client(serverName: nil), credentials: credentials)
    else { return settled(nil) }
    let carrier = StreamCarrier(
      stream: stream, kind: kind, isServer: false, number: numbers.next(), loop: loop)
    carrier.owner = self
    let deadline = LoopTimer { [weak self, weak carrier] _ in
      guard let carrier, !carrier.isReady else { return }
      carrier.close()
      self?.carrierEnded(carrier, reason: "no answer")
    }
    loop.schedule(deadline, at: loop.now + Self.timeout)
    carriers[carrier.path] = Dialled(
      carrier: carrier, remote: address, deadline: deadline, settled: settled)
    socket.handler = stream
  }

  /// The TCP address at the other end of a carrier.
  func remote(of path: NetworkPath) -> SocketAddress? {
    carriers[path]?.remote
  }

  /// Closes a carrier that is not needed.
  func discard(_ path: NetworkPath) {
    guard let dialled = carriers[path] else { return }
    dialled.carrier.close()
    carrierEnded(dialled.carrier, reason: nil)
  }

  /// Closes every carrier; others may be opened after that.
  func discardAll() {
    for path in carriers.keys { discard(path) }
  }

  private static let timeout = Duration.seconds(10)
}

extension CarrierDialer: StreamCarrierOwner {
  func carrierReady(_ carrier: StreamCarrier) {
    guard let dialled = carriers[carrier.path] else { return }
    loop.cancel(dialled.deadline)
    carriers[carrier.path]?.settled = nil
    endpoint.add(carrier)
    dialled.settled?(carrier)
  }

  func carrierEnded(_ carrier: StreamCarrier, reason: String?) {
    guard let dialled = carriers.removeValue(forKey: carrier.path) else { return }
    loop.cancel(dialled.deadline)
    endpoint.remove(carrier)
    registry.carrierEnded(carrier.path)
    dialled.settled?(nil)
  }
}
