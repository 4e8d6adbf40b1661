internal import Glibc
internal import QuicTransport

/// A flow on the connecting side: a local program connected to our listener.
///
///     (asking) --go-ahead--> spliced --> over
///         '-- refused, given up, session lost --> over
///
/// The header and the program's first bytes leave together; nothing waits for the sharing side to
/// reach its target. If it cannot, it resets the stream, and the program sees its connection reset.
/// Only a program that asked a proxy has to wait, for the answer that its dialect demands.
final class OutgoingFlow {
  let number: Int64
  private let stream: StreamCore
  private let socket: any StreamSocket
  private let wish: FlowWish
  private let loop: any EventLoop
  private let openedAt: Instant
  private let ended: (FlowReport) -> Void
  private var state = State.asking

  private enum State {
    case asking
    case spliced(Splice)
    case over
  }

  /// Opens a stream and sends the header; `start` begins to move bytes.
  ///
  /// - Parameter ended: called once, on the loop.
  /// - Throws: `StreamError.limitReached` while the peer allows no more flows.
  init(
    connection: ConnectionCore, wish: FlowWish, socket: any StreamSocket, loop: any EventLoop,
    ended: @escaping (FlowReport) -> Void
  ) throws(StreamError) {
    stream = try connection.openStream(unidirectional: false)
    number = stream.id.number
    self.wish = wish
    self.socket = socket
    self.loop = loop
    openedAt = loop.now
    self.ended = ended
    try stream.write(wish.header.encoded + wish.early)
  }

  func start() {
    guard wish.dialect != nil else {
      return splice(awaitsGoAhead: wish.header.destination != nil)
    }
    stream.delegate = self
    socket.handler = self
  }

  func abort(code: UInt64) {
    switch state {
    case .asking: refuse(.sessionLost, code: code)
    case .spliced(let splice): splice.abort(code: code)
    case .over: break
    }
  }

  func status(now: Instant) -> FlowStatus {
    var status = FlowStatus(
      number: number, service: wish.header.service, age: now - openedAt, bytesSent: 0,
      bytesReceived: 0)
    if case .spliced(let splice) = state {
      status.bytesSent = splice.bytesToStream + UInt64(wish.early.count)
      status.bytesReceived = splice.bytesToSocket
    }
    return status
  }

  private func splice(awaitsGoAhead: Bool) {
    let (number, early, ended) = (number, UInt64(wish.early.count), ended)
    let splice = Splice(
      stream: stream, socket: socket, awaitsGoAhead: awaitsGoAhead
    ) { [weak self] splice, ending in
      self?.state = .over
      ended(
        FlowReport(
          number: number, bytesSent: splice.bytesToStream + early,
          bytesReceived: splice.bytesToSocket, ending: FlowReport.Ending(ending)))
    }
    state = .spliced(splice)
    splice.start()
  }

  // MARK: Asking

  private func hearAnswer() {
    guard case .asking = state else { return }
    switch GoAhead.read(from: stream) {
    case .notYet: break
    case .malformed: refuse(.rejected, code: TunnelCode.malformedHeader)
    case .given:
      guard let dialect = wish.dialect, socket.accepts(dialect.granted) else {
        return giveUp(.localFailure(EPIPE), code: TunnelCode.localReset)
      }
      splice(awaitsGoAhead: false)
    }
  }

  /// Tells the program why, in its own dialect.
  private func refuse(_ ending: FlowReport.Ending, code: UInt64) {
    guard case .asking = state else { return }
    if let dialect = wish.dialect {
      Farewell.say(dialect.refusal(code), to: socket, loop: loop)
    } else {
      socket.close(resetting: true)
    }
    finish(ending, code: code)
  }

  /// The program is gone.
  private func giveUp(_ ending: FlowReport.Ending, code: UInt64) {
    socket.close(resetting: true)
    finish(ending, code: code)
  }

  private func finish(_ ending: FlowReport.Ending, code: UInt64) {
    state = .over
    stream.reset(code: code)
    stream.stopReceiving(code: code)
    ended(FlowReport(number: number, bytesSent: 0, bytesReceived: 0, ending: ending))
  }
}

extension OutgoingFlow: StreamDelegate {
  func streamReadable(_ stream: StreamCore) {
    hearAnswer()
  }

  func streamWritable(_ stream: StreamCore) {}

  func streamReset(_ stream: StreamCore, code: UInt64) {
    refuse(FlowReport.Ending(.remote(code: code)), code: code)
  }

  func streamStopped(_ stream: StreamCore, code: UInt64) {
    refuse(FlowReport.Ending(.remote(code: code)), code: code)
  }

  func streamClosed(_ stream: StreamCore, error: QuicError?) {
    refuse(.sessionLost, code: TunnelCode.sessionEnding)
  }
}

extension OutgoingFlow: StreamSocketHandler {
  func streamSocketConnected() {}

  func streamSocketFailed(_ code: Int32) {
    guard case .asking = state else { return }
    giveUp(.localFailure(code), code: TunnelCode.localReset)
  }

  /// What the program sends meanwhile stays in its socket. A program that left need not be served.
  func streamSocketReady(_ readiness: Readiness) {
    guard case .asking = state, !readiness.isDisjoint(with: [.error, .hangUp]) else { return }
    giveUp(.localFailure(ECONNRESET), code: TunnelCode.localReset)
  }
}
