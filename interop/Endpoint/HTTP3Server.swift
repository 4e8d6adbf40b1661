import QuicTransport

/// Serves files by HTTP/3 on one connection.
final class HTTP3Server: ConnectionDelegate, StreamDelegate {
  private let root: DocumentRoot
  private let onClosed: () -> Void
  private var session: HTTP3Session?
  private var requests: [StreamID: Request] = [:]

  /// - Parameter onClosed: called last; the owner may let go.
  init(root: DocumentRoot, onClosed: @escaping () -> Void) {
    self.root = root
    self.onClosed = onClosed
  }

  func connectionReady(_ connection: ConnectionCore) {
    Console.say("accepted \(connection.summary)")
    let session = HTTP3Session(connection)
    self.session = session
    session.start(delegate: self)
  }

  func connection(_ connection: ConnectionCore, opened stream: StreamCore) {
    stream.delegate = self
    session?.opened(stream)
  }

  func connectionAllowsStreams(_ connection: ConnectionCore) {}

  func connection(_ connection: ConnectionCore, received datagram: UnsafeRawBufferPointer) {}

  func connection(_ connection: ConnectionCore, closed error: QuicError) {
    Console.say("closed: \(error)")
    onClosed()
  }

  func streamReadable(_ stream: StreamCore) {
    session?.readable(stream) { event in
      switch event {
      case .fields(let id, let fields, _): for field in fields { note(id, field) }
      case .end(let id): if id == stream.id { answer(stream) }
      case .oversized: session?.abandon(stream, .excessiveLoad)
      case .data, .refused, .stopSending, .resetStream: break
      }
    }
  }

  func streamWritable(_ stream: StreamCore) {
    session?.writable(stream)
  }

  func streamReset(_ stream: StreamCore, code: UInt64) {
    session?.reset(stream)
  }

  func streamStopped(_ stream: StreamCore, code: UInt64) {
    session?.stopped(stream)
  }

  func streamClosed(_ stream: StreamCore, error: QuicError?) {
    requests[stream.id] = nil
    session?.closed(stream)
  }

  private func note(_ id: StreamID, _ field: HTTP3Field) {
    switch field.name {
    case ":method": requests[id, default: Request()].method = field.text
    case ":path": requests[id, default: Request()].path = field.text
    default: break
    }
  }

  private func answer(_ stream: StreamCore) {
    guard let request = requests.removeValue(forKey: stream.id) else { return }
    guard request.method == "GET" else {
      session?.submitResponse(
        on: stream, [HTTP3Field(":status", "405"), HTTP3Field("allow", "GET")], body: nil)
      return
    }
    guard let file = root.file(at: request.path) else {
      session?.submitResponse(on: stream, [HTTP3Field(":status", "404")], body: nil)
      return
    }
    session?.submitResponse(
      on: stream,
      [HTTP3Field(":status", "200"), HTTP3Field("content-length", String(file.size))], body: file)
  }

  /// What of a request matters here; nghttp3 bounds the size of a field.
  private struct Request {
    var method = ""
    var path = ""
  }
}
