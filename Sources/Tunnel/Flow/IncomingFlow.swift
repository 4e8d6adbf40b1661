internal import Glibc
internal import QuicTransport

/// A flow on the sharing side: a stream that the peer opened, on its way to the shared target.
///
///     reading header --> connecting --> spliced --> over
///          |                 |
///          '-- malformed     '-- refused, unreachable, timeout, reset by the peer --> over
final class IncomingFlow {
  /// Reaches the target: opens a connection to one address.
  typealias Connect = (StreamAddress) throws(RuntimeError) -> any StreamSocket

  private let stream: StreamCore
  private let services: [String: [StreamAddress]]
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

  /// - Parameters:
  ///   - services: the addresses of each shared target by service name, tried in order.
  ///   - ended: called once, on the loop.
  init(
    stream: StreamCore, services: [String: [StreamAddress]], loop: any EventLoop,
    connect: @escaping Connect, ended: @escaping (FlowReport) -> Void
  ) {
    self.stream = stream
    self.services = services
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
    switch FlowHeader.decode(prefix) {
    case .header(let header, let count):
      stream.consume(count - known)
      service = header.service
      guard let addresses = services[header.service] else {
        fail(.rejected, code: TunnelCode.unknownService)
        return
      }
      tryNext(addresses[...], lastError: ECONNREFUSED)
    case .needsMore:
      // All of it belongs to the header, and only what is consumed lets the end show.
      headerStart = prefix
      stream.consume(prefix.count - known)
      if stream.isAtEnd || prefix.count >= FlowHeader.sizeMax {
        fail(.rejected, code: TunnelCode.malformedHeader)
      }
    case .malformed: fail(.rejected, code: TunnelCode.malformedHeader)
    }
  }

  // MARK: Target

  private func tryNext(_ addresses: ArraySlice<StreamAddress>, lastError: Int32) {
    guard let address = addresses.first else {
      giveUp(lastError)
      return
    }
    do throws(RuntimeError) {
      let socket = try connect(address)
      socket.handler = self
      state = .connecting(socket, rest: addresses.dropFirst())
      armTimer()
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

  /// An address that does not answer costs its time only: the next one gets as much.
  private func armTimer() {
    let timer = LoopTimer { [weak self] _ in self?.streamSocketFailed(ETIMEDOUT) }
    self.timer = timer
    loop.schedule(timer, at: loop.now + Self.connectTimeout)
  }

  private func disarmTimer() {
    if let timer { loop.cancel(timer) }
    timer = nil
  }

  private func splice(_ socket: any StreamSocket) {
    disarmTimer()
    let number = self.number
    let ended = self.ended
    let splice = Splice(stream: stream, socket: socket) { [weak self] splice, ending in
      self?.state = .over
      ended(
        FlowReport(
          number: number, bytesSent: splice.bytesToStream, bytesReceived: splice.bytesToSocket,
          ending: FlowReport.Ending(ending)))
    }
    state = .spliced(splice)
    splice.start()
  }

  private func fail(_ ending: FlowReport.Ending, code: UInt64) {
    switch state {
    case .over, .spliced: return
    case .connecting(let socket, _): socket.close(resetting: true)
    case .readingHeader: break
    }
    state = .over
    disarmTimer()
    stream.reset(code: code)
    stream.stopReceiving(code: code)
    ended(FlowReport(number: number, bytesSent: 0, bytesReceived: 0, ending: ending))
  }

  /// The kernel alone would try for two minutes.
  private static let connectTimeout = Duration.seconds(10)
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
