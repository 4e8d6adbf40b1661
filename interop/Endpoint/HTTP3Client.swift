import QuicTransport

/// Fetches files by HTTP/3 on one connection.
final class HTTP3Client: FetchSession, StreamDelegate {
  private let list: FetchList
  private var session: HTTP3Session?

  init(_ list: FetchList) {
    self.list = list
  }

  func close(_ connection: ConnectionCore) {
    session?.close()
  }

  func connectionReady(_ connection: ConnectionCore) {
    list.ready(connection)
    let session = HTTP3Session(connection)
    self.session = session
    session.start(delegate: self)
    startRequests(on: connection)
  }

  func connection(_ connection: ConnectionCore, opened stream: StreamCore) {
    stream.delegate = self
    session?.opened(stream)
  }

  func connectionAllowsStreams(_ connection: ConnectionCore) {
    startRequests(on: connection)
  }

  func connection(_ connection: ConnectionCore, received datagram: UnsafeRawBufferPointer) {}

  func connection(_ connection: ConnectionCore, closed error: QuicError) {
    list.end(.connectionLost(error))
  }

  func streamReadable(_ stream: StreamCore) {
    session?.readable(stream) { event in
      switch event {
      case .fields(_, let fields, _):
        let status = fields.first { $0.name == ":status" }?.text ?? ""
        // RFC 9110 §15.2: the final answer is still to come.
        if !status.hasPrefix("1"), status != "200" {
          list.end(.failed("the server answered with status \(status)"))
        }
      case .data(let id, let bytes): bytes.withUnsafeBytes { list.append($0, to: id) }
      case .end(let id): list.finish(id)
      case .oversized: list.end(.failed("the server's answer has too many fields"))
      case .refused, .stopSending, .resetStream: break
      }
    }
    if let connection = stream.connection { startRequests(on: connection) }
  }

  func streamWritable(_ stream: StreamCore) {
    session?.writable(stream)
  }

  func streamReset(_ stream: StreamCore, code: UInt64) {
    session?.reset(stream)
    list.streamClosed(stream.id, error: nil)
  }

  func streamStopped(_ stream: StreamCore, code: UInt64) {
    session?.stopped(stream)
  }

  func streamClosed(_ stream: StreamCore, error: QuicError?) {
    session?.closed(stream)
    list.streamClosed(stream.id, error: error)
  }

  private func startRequests(on connection: ConnectionCore) {
    list.startRequests(on: connection) { stream, request in
      stream.delegate = self
      session?.submitRequest(
        on: stream,
        [
          HTTP3Field(":method", "GET"), HTTP3Field(":scheme", "https"),
          HTTP3Field(":authority", request.authority), HTTP3Field(":path", request.path),
          HTTP3Field("user-agent", "qtun-interop"),
        ], body: nil)
    }
  }
}
