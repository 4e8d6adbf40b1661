import QuicTransport

/// Fetches files by HTTP/0.9 on one connection.
final class HTTP09Client: FetchSession, StreamDelegate {
  private let list: FetchList

  init(_ list: FetchList) {
    self.list = list
  }

  func close(_ connection: ConnectionCore) {
    connection.close(code: 0, reason: "")
  }

  func connectionReady(_ connection: ConnectionCore) {
    list.ready(connection)
    startRequests(on: connection)
  }

  func connection(_ connection: ConnectionCore, opened stream: StreamCore) {
    // HTTP/0.9 has no streams from the server.
    stream.stopReceiving(code: 0)
    if !stream.id.isUnidirectional { stream.reset(code: 0) }
  }

  func connectionAllowsStreams(_ connection: ConnectionCore) {
    startRequests(on: connection)
  }

  func connection(_ connection: ConnectionCore, received datagram: UnsafeRawBufferPointer) {}

  func connection(_ connection: ConnectionCore, closed error: QuicError) {
    list.end(.connectionLost(error))
  }

  func streamReadable(_ stream: StreamCore) {
    stream.withReadablePieces(limit: .max) { pieces in
      for piece in pieces { list.append(piece, to: stream.id) }
    }
    stream.consume(stream.readableCount)
    if stream.isAtEnd {
      list.finish(stream.id)
      if let connection = stream.connection { startRequests(on: connection) }
    }
  }

  func streamWritable(_ stream: StreamCore) {}

  func streamReset(_ stream: StreamCore, code: UInt64) {
    list.end(.failed("the server refused a file with code \(code)"))
  }

  func streamStopped(_ stream: StreamCore, code: UInt64) {
    list.end(.failed("the server stopped a request with code \(code)"))
  }

  func streamClosed(_ stream: StreamCore, error: QuicError?) {
    list.streamClosed(stream.id, error: error)
  }

  private func startRequests(on connection: ConnectionCore) {
    list.startRequests(on: connection) { stream, request in
      stream.delegate = self
      // A fresh stream takes a request line; if the connection ends, the list hears of it.
      try? stream.write(Array("GET \(request.path)\r\n".utf8))
      stream.finish()
    }
  }
}
