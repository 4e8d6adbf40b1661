internal import Glibc
internal import QuicTransport

/// A stream that the peer opened, on its way to its target: a shared service, or on the connecting
/// side what was asked to be reached by a listener of the peer.
///
///     reading header --> (finding) --> connecting --> spliced --> over
///          |                 |             |
///          '-- malformed     '-- denied    '-- refused, unreachable, timeout, reset by the peer
///
/// Finding is for dynamic services: the name that the peer wants is looked up and judged.
final class IncomingFlow {
  /// Reaches the target: opens a connection to one address.
  typealias Connect = (StreamAddress) throws(RuntimeError) -> any StreamSocket

  private let stream: StreamCore
  private let router: FlowRouter
  private let finder: TargetFinder?
  private var origin: ProxyProtocol.Origin
  private let loop: any EventLoop
  private let connect: Connect
  private let ended: (FlowReport) -> Void
  private var state = State.readingHeader
  /// The first bytes of a header that is not complete.
  private var headerStart: [UInt8] = []
  /// What the header asks for.
  private var service: String?
  private let openedAt: Instant
  private var timer: LoopTimer?
  /// What the target hears first.
  private var proxyProtocol: ProxyProtocol?
  /// What the peer hears when the target is reached.
  private var sendsGoAhead = false
  /// Told of HTTP requests that pass; nil where nobody watches.
  var onRequest: ((RequestReport) -> Void)?

  /// - Parameters:
  ///   - router: tells where it goes.
  ///   - finder: for destinations that the peer names; nil where it cannot.
  ///   - origin: whom the flow comes from, for targets that want to know.
  ///   - ended: called once, on the loop.
  init(
    stream: StreamCore, router: FlowRouter, origin: ProxyProtocol.Origin, loop: any EventLoop,
    connect: @escaping Connect, finder: TargetFinder?, ended: @escaping (FlowReport) -> Void
  ) {
    self.stream = stream
    self.router = router
    self.finder = finder
    self.origin = origin
    self.loop = loop
    self.connect = connect
    self.ended = ended
    openedAt = loop.now
  }

  var number: Int64 { stream.id.number }

  func start() {
    stream.delegate = self
    readHeader()
  }

  func abort(code: UInt64) {
    if case .spliced(let splice) = state {
      splice.abort(code: code)
    } else {
      fail(.sessionLost, code: code)
    }
  }

  func status(now: Instant) -> FlowStatus {
    var status = FlowStatus(
      number: number, service: service, age: now - openedAt, bytesSent: 0, bytesReceived: 0)
    if case .spliced(let splice) = state {
      status.bytesSent = splice.bytesToStream
      status.bytesReceived = splice.bytesToSocket
    }
    return status
  }

  private enum State {
    case readingHeader
    case finding
    case connecting(any StreamSocket, rest: ArraySlice<StreamAddress>)
    case spliced(Splice)
    case over
  }

  // MARK: Header

  private func readHeader() {
    let known = headerStart.count
    let prefix = stream.withReadablePieces(limit: 4) { pieces in
      var bytes = headerStart
      for piece in pieces where bytes.count < FlowHeader.sizeMax {
        bytes.append(contentsOf: piece.prefix(FlowHeader.sizeMax - bytes.count))
      }
      return bytes
    }
    switch router.decide(prefix) {
    case .route(let route, let destination, let name, let road, let count):
      stream.consume(count - known)
      service = name
      if let road { (origin.source, origin.destination) = (road.remote, road.local) }
      reach(destination, by: route)
    case .needsMore:
      // All of it belongs to the header, and only what is consumed lets the end show.
      headerStart = prefix
      stream.consume(prefix.count - known)
      if stream.isAtEnd || prefix.count >= FlowHeader.sizeMax {
        fail(.rejected, code: TunnelCode.malformedHeader)
      }
    case .refused(let code): fail(.rejected, code: code)
    }
  }

  // MARK: Target

  private func reach(_ destination: Destination?, by route: ServiceRoute) {
    proxyProtocol = route.proxyProtocol
    sendsGoAhead = route.sendsGoAhead
    switch (route.goal, destination, finder) {
    case (.addresses(let addresses), nil, _): tryNext(addresses[...], lastError: ECONNREFUSED)
    case (.named(let rules), let destination?, let finder?): find(destination, rules, finder)
    default: fail(.rejected, code: TunnelCode.serviceMismatch)
    }
  }

  private func find(_ destination: Destination, _ rules: TargetRules, _ finder: TargetFinder) {
    sendsGoAhead = true
    state = .finding
    armTimer { [weak self] in self?.found(.failure(.notFound)) }
    finder.find(destination, rules: rules) { [weak self] result in self?.found(result) }
  }

  private func found(_ result: Result<[SocketAddress], TargetFinder.Refusal>) {
    guard case .finding = state else { return }
    disarmTimer()
    switch result {
    // Exactly these: looking the name up again could give others.
    case .success(let addresses):
      tryNext(addresses.map(StreamAddress.tcp)[...], lastError: ECONNREFUSED)
    case .failure(.notAllowed): fail(.targetNotAllowed, code: TunnelCode.targetNotAllowed)
    case .failure(.notFound): fail(.nameNotFound, code: TunnelCode.nameNotFound)
    }
  }

  private func tryNext(_ addresses: ArraySlice<StreamAddress>, lastError: Int32) {
    guard let address = addresses.first else {
      giveUp(lastError)
      return
    }
    do throws(RuntimeError) {
      let socket = try connect(address)
      socket.handler = self
      state = .connecting(socket, rest: addresses.dropFirst())
      // An address that does not answer costs its time only: the next one gets as much.
      armTimer { [weak self] in self?.streamSocketFailed(ETIMEDOUT) }
    } catch {
      tryNext(addresses.dropFirst(), lastError: error.code)
    }
  }

  private func giveUp(_ code: Int32) {
    switch code {
    case ECONNREFUSED: fail(.targetRefused(code), code: TunnelCode.targetRefused)
    case EBUSY: fail(.targetBusy, code: TunnelCode.targetBusy)
    default: fail(.targetUnreachable(code), code: TunnelCode.targetUnreachable)
    }
  }

  private func armTimer(_ expired: @escaping () -> Void) {
    let timer = LoopTimer { _ in expired() }
    self.timer = timer
    loop.schedule(timer, at: loop.now + Self.stepTimeout)
  }

  private func disarmTimer() {
    if let timer { loop.cancel(timer) }
    timer = nil
  }

  private func splice(_ socket: any StreamSocket) {
    disarmTimer()
    if let proxyProtocol, !socket.accepts(proxyProtocol.header(origin)) {
      return fail(.targetUnreachable(EPIPE), code: TunnelCode.targetUnreachable)
    }
    // The stream takes bytes: if it did not, its delegate would have heard.
    if sendsGoAhead { try? stream.write([GoAhead.byte]) }
    let number = self.number
    let ended = self.ended
    let splice = Splice(stream: stream, socket: watched(socket)) { [weak self] splice, ending in
      self?.state = .over
      ended(
        FlowReport(
          number: number, bytesSent: splice.bytesToStream, bytesReceived: splice.bytesToSocket,
          ending: FlowReport.Ending(ending)))
    }
    state = .spliced(splice)
    splice.start()
  }

  private func watched(_ socket: any StreamSocket) -> any StreamSocket {
    guard let onRequest else { return socket }
    let watcher = RequestWatcher(flow: number, service: service ?? "", report: onRequest)
    return WatchedSocket(socket, watcher: watcher, loop: loop)
  }

  private func fail(_ ending: FlowReport.Ending, code: UInt64) {
    switch state {
    case .over, .spliced: return
    case .connecting(let socket, _): socket.close(resetting: true)
    case .readingHeader, .finding: break
    }
    state = .over
    disarmTimer()
    stream.reset(code: code)
    stream.stopReceiving(code: code)
    ended(FlowReport(number: number, bytesSent: 0, bytesReceived: 0, ending: ending))
  }

  /// For one connect, for which the kernel alone would try for two minutes, and for the look-up.
  private static let stepTimeout = Duration.seconds(10)
}

extension IncomingFlow: StreamSocketHandler {
  func streamSocketConnected() {
    guard case .connecting(let socket, _) = state else { return }
    splice(socket)
  }

  func streamSocketFailed(_ code: Int32) {
    guard case .connecting(let socket, let rest) = state else { return }
    disarmTimer()
    socket.close(resetting: code == ETIMEDOUT)
    tryNext(rest, lastError: code)
  }

  func streamSocketReady(_ readiness: Readiness) {}
}

extension IncomingFlow: StreamDelegate {
  func streamReadable(_ stream: StreamCore) {
    // Until the target is reached, bytes stay in the stream, bounded by its window.
    if case .readingHeader = state { readHeader() }
  }

  func streamWritable(_ stream: StreamCore) {}

  func streamReset(_ stream: StreamCore, code: UInt64) {
    fail(.remoteReset, code: code)
  }

  func streamStopped(_ stream: StreamCore, code: UInt64) {
    fail(.remoteReset, code: code)
  }

  func streamClosed(_ stream: StreamCore, error: QuicError?) {
    fail(error == nil ? .remoteReset : .sessionLost, code: TunnelCode.sessionEnding)
  }
}
