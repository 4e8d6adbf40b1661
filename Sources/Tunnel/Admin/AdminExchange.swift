internal import QuicTransport

/// One request at the admin address, and its answer; the connection ends then.
///
///     reading the head --whole, or wrong--> answering --all written--> closed
///          '-------------- 10 s, failure, too large ----------------------^
///
/// Whoever is slow, in asking or in reading, is cut off.
final class AdminExchange: StreamSocketHandler {
  /// The answer to a path.
  typealias Answer = (String) -> AdminResponse

  private let socket: any StreamSocket
  private let loop: any EventLoop
  private let answer: Answer
  private let ended: (AdminExchange) -> Void
  private var deadline: LoopTimer?
  private var request: [UInt8] = []
  /// Nil until the request has been read.
  private var response: ArraySlice<UInt8>?
  private var isLingering = false

  init(
    socket: any StreamSocket, loop: any EventLoop, answer: @escaping Answer,
    ended: @escaping (AdminExchange) -> Void
  ) {
    self.socket = socket
    self.loop = loop
    self.answer = answer
    self.ended = ended
    let deadline = LoopTimer { [weak self] _ in self?.close(resetting: true) }
    self.deadline = deadline
    loop.schedule(deadline, at: loop.now + Self.timeout)
    socket.handler = self
  }

  func close(resetting: Bool) {
    guard let deadline else { return }
    loop.cancel(deadline)
    self.deadline = nil
    socket.close(resetting: resetting)
    ended(self)
  }

  func streamSocketConnected() {}

  func streamSocketFailed(_ code: Int32) { close(resetting: false) }

  func streamSocketReady(_ readiness: Readiness) {
    if response == nil { read() } else { write() }
    if isLingering { drop() }
  }

  private func read() {
    withUnsafeTemporaryAllocation(byteCount: HTTPHead.sizeMax, alignment: 1) { buffer in
      while response == nil, deadline != nil {
        switch socket.read(into: buffer) {
        case .moved(let count): take(buffer[..<count])
        case .blocked: return
        case .ended, .failed: return close(resetting: false)
        }
      }
    }
  }

  private func take(_ bytes: Slice<UnsafeMutableRawBufferPointer>) {
    request.append(contentsOf: bytes.prefix(HTTPHead.sizeMax - request.count))
    switch HTTPHead.read(request) {
    case .needsMore: return
    case .head(let head, _): respond(to: head)
    case .malformed: send(AdminResponse(.badRequest), withoutBody: false)
    case .tooLarge: send(AdminResponse(.headTooLarge), withoutBody: false)
    }
  }

  private func respond(to head: HTTPHead) {
    guard head.method == "GET" || head.method == "HEAD" else {
      return send(AdminResponse(.methodNotAllowed), withoutBody: false)
    }
    let path = head.target.prefix { $0 != "?" }
    send(answer(String(path)), withoutBody: head.method == "HEAD")
  }

  private func send(_ response: AdminResponse, withoutBody: Bool) {
    self.response = response.bytes(withoutBody: withoutBody)[...]
    write()
  }

  private func write() {
    while deadline != nil, !isLingering, let rest = response {
      if rest.isEmpty {
        // Closing with bytes unread would reset the connection, and the answer with it.
        socket.finishWriting()
        isLingering = true
        return drop()
      }
      switch rest.withUnsafeBytes({ socket.write($0) }) {
      case .moved(let count): response = rest.dropFirst(count)
      case .blocked: return
      case .ended, .failed: return close(resetting: true)
      }
    }
  }

  /// Waits for the other side's end, within the same deadline.
  private func drop() {
    withUnsafeTemporaryAllocation(byteCount: HTTPHead.sizeMax, alignment: 1) { buffer in
      for _ in 0..<Self.piecesDropped {
        guard deadline != nil else { return }
        switch socket.read(into: buffer) {
        case .moved: continue
        case .blocked: return
        case .ended, .failed: return close(resetting: false)
        }
      }
      // Nobody has so much to say behind a question.
      close(resetting: true)
    }
  }

  private static let piecesDropped = 64
  /// For the request and the answer together; scrapers ask each few seconds.
  private static let timeout = Duration.seconds(10)
}

/// What is answered at the admin address.
public struct AdminResponse: Sendable {
  /// How it went.
  public let status: Status
  /// In UTF-8; one line, or metrics.
  public let body: String

  /// The few ways there are.
  public enum Status: String, Sendable {
    case ok = "200 OK"
    case badRequest = "400 Bad Request"
    case notFound = "404 Not Found"
    case methodNotAllowed = "405 Method Not Allowed"
    case headTooLarge = "431 Request Header Fields Too Large"
    case unavailable = "503 Service Unavailable"
  }

  /// An answer.
  public init(_ status: Status, body: String) {
    self.status = status
    self.body = body
  }

  init(_ status: Status) {
    self.init(status, body: "\(status.rawValue)\n")
  }

  func bytes(withoutBody: Bool) -> [UInt8] {
    // The version is what tells Prometheus the format; for other texts it means nothing.
    var head = """
      HTTP/1.1 \(status.rawValue)\r
      Content-Type: text/plain; version=0.0.4; charset=utf-8\r
      Content-Length: \(body.utf8.count)\r
      Cache-Control: no-store\r
      Connection: close\r

      """
    if status == .methodNotAllowed { head += "Allow: GET, HEAD\r\n" }
    return Array((head + "\r\n" + (withoutBody ? "" : body)).utf8)
  }
}
