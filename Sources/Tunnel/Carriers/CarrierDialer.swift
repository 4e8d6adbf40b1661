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
  /// What connections go through, if any.
  private let proxy: HTTPProxy?
  private var carriers: [UInt64: Dialled] = [:]

  private struct Dialled {
    let carrier: StreamCarrier
    let remote: SocketAddress
    let deadline: LoopTimer
    let proxyConnection: ProxyConnection?
    /// Called once, when the carrier is ready or is not going to be.
    var settled: ((Result<StreamCarrier, Failure>) -> Void)?
  }

  /// Why there is no carrier.
  enum Failure: Error {
    case proxy(ProxyError)
    /// No answer, or not the right one.
    case unavailable
    /// There is one, or one is being opened.
    case superfluous
  }

  init(
    endpoint: EndpointCore, registry: PathRegistry, loop: any EventLoop, proxy: HTTPProxy?,
    connect: @escaping Connect
  ) throws(QuicError) {
    self.endpoint = endpoint
    self.registry = registry
    self.loop = loop
    self.proxy = proxy
    self.connect = connect
    credentials = try TLSStreamCredentials()
  }

  /// Opens a carrier to `address`, unless there is one or one is being opened.
  ///
  /// - Parameter doubtful: a path that does not count, because nothing is heard on it.
  func open(
    _ address: SocketAddress, kind: CarrierKind, besides doubtful: NetworkPath?,
    settled: @escaping (Result<StreamCarrier, Failure>) -> Void
  ) {
    let others = carriers.values.filter { $0.remote == address && $0.carrier.kind == kind }
    guard others.allSatisfy({ $0.carrier.path == doubtful })
    else { return settled(.failure(.superfluous)) }
    let socket: any StreamSocket
    do throws(Failure) {
      socket = try self.socket(to: address)
    } catch {
      return settled(.failure(error))
    }
    let stream: TLSStream
    do throws(QuicError) {
      stream = try TLSStream(
        socket: socket, role: .client(serverName: nil), credentials: credentials, loop: loop)
    } catch {
      socket.close(resetting: true)
      return settled(.failure(.unavailable))
    }
    let carrier = StreamCarrier(
      dialling: stream, kind: kind, remote: address, number: registry.carrierNumbers.next(),
      loop: loop)
    carrier.owner = self
    let deadline = LoopTimer { [weak self, weak carrier] _ in
      guard let carrier, !carrier.isReady else { return }
      carrier.close()
      self?.carrierEnded(carrier, reason: "no answer")
    }
    loop.schedule(deadline, at: loop.now + Self.timeout)
    carriers[carrier.number] = Dialled(
      carrier: carrier, remote: address, deadline: deadline,
      proxyConnection: socket as? ProxyConnection, settled: settled)
    socket.handler = stream
  }

  /// A connection that has begun: straight, or through the proxy.
  private func socket(to address: SocketAddress) throws(Failure) -> any StreamSocket {
    if let proxy, proxy.serves(address) {
      do throws(ProxyError) {
        return try ProxyConnection(to: address, through: proxy, loop: loop, connect: connect)
      } catch {
        throw .proxy(error)
      }
    }
    do throws(RuntimeError) {
      return try connect(address)
    } catch {
      throw .unavailable
    }
  }

  /// The TCP address at the other end of a carrier.
  func remote(of path: NetworkPath) -> SocketAddress? {
    PathLabel.carrierNumber(path).flatMap { carriers[$0]?.remote }
  }

  /// The session is on this path, and sure of it: another carrier of its kind to the same address fell
  /// silent before, and would stand in the way of the next one, or was opened in a doubt that is over.
  func keepOnly(_ path: NetworkPath) {
    guard let kept = PathLabel.carrierNumber(path).flatMap({ carriers[$0] }) else { return }
    for (number, dialled) in carriers where dialled.carrier !== kept.carrier {
      if dialled.remote == kept.remote, dialled.carrier.kind == kept.carrier.kind {
        discard(number)
      }
    }
  }

  /// Closes a carrier that is not needed.
  func discard(_ path: NetworkPath) {
    if let number = PathLabel.carrierNumber(path) { discard(number) }
  }

  /// Closes every carrier; others may be opened after that.
  func discardAll() {
    for number in carriers.keys { discard(number) }
  }

  private func discard(_ number: UInt64) {
    guard let dialled = carriers[number] else { return }
    dialled.carrier.close()
    carrierEnded(dialled.carrier, reason: nil)
  }

  private static let timeout = Duration.seconds(10)
}

extension CarrierDialer: StreamCarrierOwner {
  func carrierReady(_ carrier: StreamCarrier) {
    guard let dialled = carriers[carrier.number] else { return }
    loop.cancel(dialled.deadline)
    carriers[carrier.number]?.settled = nil
    endpoint.add(carrier)
    dialled.settled?(.success(carrier))
  }

  func carrierEnded(_ carrier: StreamCarrier, reason: String?) {
    guard let dialled = carriers.removeValue(forKey: carrier.number) else { return }
    loop.cancel(dialled.deadline)
    endpoint.remove(carrier)
    registry.carrierEnded(carrier.path)
    let failure = dialled.proxyConnection?.failure.map(Failure.proxy)
    dialled.settled?(.failure(failure ?? .unavailable))
  }
}
