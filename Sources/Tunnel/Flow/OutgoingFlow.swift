internal import QuicTransport

/// A flow on the connecting side: a local program connected to our listener.
///
/// The header and the program's first bytes leave together; nothing waits for the sharing side to
/// reach its target. If it cannot, it resets the stream, and the program sees its connection reset.
final class OutgoingFlow {
  let number: Int64
  private let service: String
  private let openedAt: Instant
  private let splice: Splice

  /// Opens a stream and begins to move bytes.
  ///
  /// - Parameter ended: called once, on the loop.
  /// - Throws: `StreamError.limitReached` while the peer allows no more flows.
  init(
    connection: ConnectionCore, service: String, socket: any StreamSocket, now: Instant,
    ended: @escaping (FlowReport) -> Void
  ) throws(StreamError) {
    let stream = try connection.openStream(unidirectional: false)
    let number = stream.id.number
    self.number = number
    self.service = service
    openedAt = now
    try stream.write(FlowHeader(kind: .tcp, service: service).encoded)
    splice = Splice(stream: stream, socket: socket) { splice, ending in
      ended(
        FlowReport(
          number: number, bytesSent: splice.bytesToStream, bytesReceived: splice.bytesToSocket,
          ending: FlowReport.Ending(ending)))
    }
  }

  func start() {
    splice.start()
  }

  func abort(code: UInt64) {
    splice.abort(code: code)
  }

  func status(now: Instant) -> FlowStatus {
    FlowStatus(
      number: number, service: service, age: now - openedAt, bytesSent: splice.bytesToStream,
      bytesReceived: splice.bytesToSocket)
  }
}
