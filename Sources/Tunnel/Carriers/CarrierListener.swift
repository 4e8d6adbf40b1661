internal import QuicTransport

/// The accepting side of carriers over byte streams: takes TCP connections and makes each a socket
/// of the endpoint.
///
/// A stranger can hold one only for as long as a handshake may take, and only as `StrangerGate`
/// allows; a carrier that no session uses any more is closed.
final class CarrierListener {
  private let endpoint: EndpointCore
  private let registry: PathRegistry
  private let credentials: TLSStreamCredentials
  private let loop: any EventLoop
  private var carriers: [UInt64: Accepted] = [:]
  private var gate = StrangerGate()
  /// Looks at all carriers that are no strangers': of thousands, each with a timer of its own would
  /// have the process woken all the time.
  private var watch: LoopTimer?

  private struct Accepted {
    let carrier: StreamCarrier
    let remote: SocketAddress
    let local: SocketAddress
    /// Of a stranger.
    var deadline: LoopTimer?
    var isStranger = true
    /// The endpoint has it as a socket.
    var isReady = false
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
    guard gate.enter(remote, now: loop.now) else { return socket.close(resetting: true) }
    guard
      let stream = try? TLSStream(
        socket: socket, role: .server, credentials: credentials, loop: loop)
    else {
      gate.leave(remote)
      return socket.close(resetting: true)
    }
    let carrier = StreamCarrier(
      accepting: stream, number: registry.carrierNumbers.next(), loop: loop)
    carrier.owner = self
    let number = carrier.number
    let deadline = LoopTimer { [weak self] _ in self?.judge(number) }
    loop.schedule(deadline, at: loop.now + Self.judgeInterval)
    carriers[number] = Accepted(
      carrier: carrier, remote: remote, local: local, deadline: deadline)
    stream.start()
  }

  /// The TCP address at the other end of a carrier.
  func remote(of path: NetworkPath) -> SocketAddress? {
    PathLabel.carrierNumber(path).flatMap { carriers[$0]?.remote }
  }

  /// A session was opened on this path: who is there is no stranger.
  func admit(_ path: NetworkPath) {
    guard let number = PathLabel.carrierNumber(path) else { return }
    admit(number)
  }

  /// The TCP address at our end of a carrier.
  func local(of path: NetworkPath) -> SocketAddress? {
    PathLabel.carrierNumber(path).flatMap { carriers[$0]?.local }
  }

  func close() {
    for accepted in carriers.values {
      if let deadline = accepted.deadline { loop.cancel(deadline) }
      accepted.carrier.close()
    }
    carriers.removeAll()
    if let watch { loop.cancel(watch) }
    watch = nil
  }

  private func admit(_ number: UInt64) {
    guard let accepted = carriers[number], accepted.isStranger else { return }
    carriers[number]?.isStranger = false
    gate.leave(accepted.remote)
  }

  /// By now a session uses the carrier, or it goes.
  private func judge(_ number: UInt64) {
    guard let accepted = carriers[number] else { return }
    carriers[number]?.deadline = nil
    guard registry.isKnown(accepted.carrier.path, now: loop.now) else { return end(accepted) }
    admit(number)
    watchCarriers()
  }

  /// Sessions end: asked again and again, for all of them at once.
  private func watchCarriers() {
    guard watch == nil else { return }
    let timer = LoopTimer { [weak self] _ in self?.judgeAll() }
    watch = timer
    loop.schedule(timer, at: loop.now + Self.judgeInterval)
  }

  private func judgeAll() {
    watch = nil
    let judged = carriers.values.filter { $0.deadline == nil }
    let unused = judged.filter { !registry.isKnown($0.carrier.path, now: loop.now) }
    // By age: the order of a dictionary differs from run to run.
    for accepted in unused.sorted(by: { $0.carrier.number < $1.carrier.number }) { end(accepted) }
    if unused.count < judged.count { watchCarriers() }
  }

  private func end(_ accepted: Accepted) {
    accepted.carrier.close()
    carrierEnded(accepted.carrier, reason: "no session")
  }

  private static let judgeInterval = Duration.seconds(10)
}

extension CarrierListener: StreamCarrierOwner {
  func carrierReady(_ carrier: StreamCarrier) {
    carriers[carrier.number]?.isReady = true
    endpoint.add(carrier)
  }

  func carrierEnded(_ carrier: StreamCarrier, reason: String?) {
    guard let accepted = carriers.removeValue(forKey: carrier.number) else { return }
    if let deadline = accepted.deadline { loop.cancel(deadline) }
    if accepted.isStranger { gate.leave(accepted.remote) }
    // Nobody has heard of the others, and strangers can open and close many.
    guard accepted.isReady else { return }
    endpoint.remove(carrier)
    registry.carrierEnded(carrier.path)
  }
}
