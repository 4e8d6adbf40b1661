internal import QuicTransport

/// The accepting side of carriers over byte streams: takes TCP connections and makes each a socket
/// of the endpoint.
///
/// A stranger can hold one only for as long as a handshake may take, and only so many strangers at
/// once.
final class CarrierListener {
  private let endpoint: EndpointCore
  private let registry: PathRegistry
  private let credentials: TLSStreamCredentials
  private let loop: any EventLoop
  private let numbers = CarrierNumbers()
  private var carriers: [NetworkPath: Accepted] = [:]
  private var strangers = 0

  private struct Accepted {
    let carrier: StreamCarrier
    let remote: SocketAddress
    let local: SocketAddress
    let deadline: LoopTimer
    var isStranger = true
  }

  init(
    endpoint: EndpointCore, registry: PathRegistry, serverName: String, loop: any EventLoop
  ) throws(QuicError) {
    self.endpoint = endpoint
    self.registry = registry
    self.loop = loop
    credentials = try TLSStreamCredentials(serverName: serverName)
  }

  /// Takes over a connection that was accepted at the address `local`.
  func accept(_ socket: any StreamSocket, from remote: SocketAddress, at local: SocketAddress) {
    guard strangers < Self.strangersMax,
      let stream = try? TLSStream(socket: socket, role: .server, credentials: credentials)
    else { return socket.close(resetting: true) }
    let carrier = StreamCarrier(
      stream: stream, kind: .tcp, isServer: true, number: numbers.next(), loop: loop)
    carrier.owner = self
    let path = carrier.path
    let deadline = LoopTimer { [weak self] _ in self?.judge(path) }
    loop.schedule(deadline, at: loop.now + Self.strangerTimeout)
    carriers[path] = Accepted(
      carrier: carrier, remote: remote, local: local, deadline: deadline)
    strangers += 1
    stream.start()
  }

  /// The TCP address at the other end of a carrier.
  func remote(of path: NetworkPath) -> SocketAddress? {
    carriers[path]?.remote
  }

  /// The TCP address at our end of a carrier.
  func local(of path: NetworkPath) -> SocketAddress? {
    carriers[path]?.local
  }

  func close() {
    for accepted in carriers.values {
      loop.cancel(accepted.deadline)
      accepted.carrier.close()
    }
    carriers.removeAll()
  }

  /// By now a session uses the carrier, or it goes.
  private func judge(_ path: NetworkPath) {
    guard let accepted = carriers[path] else { return }
    if registry.isKnown(path) {
      carriers[path]?.isStranger = false
      strangers -= 1
    } else {
      accepted.carrier.close()
      carrierEnded(accepted.carrier, reason: "no session")
    }
  }

  private static let strangersMax = 256
  private static let strangerTimeout = Duration.seconds(10)
}

extension CarrierListener: StreamCarrierOwner {
  func carrierReady(_ carrier: StreamCarrier) {
    endpoint.add(carrier)
  }

  func carrierEnded(_ carrier: StreamCarrier, reason: String?) {
    guard let accepted = carriers.removeValue(forKey: carrier.path) else { return }
    loop.cancel(accepted.deadline)
    if accepted.isStranger { strangers -= 1 }
    endpoint.remove(carrier)
    registry.carrierEnded(carrier.path)
  }
}
