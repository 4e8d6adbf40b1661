internal import QuicTransport

/// A visitor by HTTP/3: one QUIC connection, whose every request becomes a connection of HTTP/1.1
/// (`HTTP3RequestSocket`). On the loop.
final class HTTP3Visit {
  private let connection: ConnectionCore
  private let loop: any EventLoop
  private unowned let door: HTTP3Door
  private let source: SocketAddress
  private let local: SocketAddress
  private var session: HTTP3Session?
  private var requests: [StreamID: HTTP3RequestSocket] = [:]
  /// Streams whose request has no head yet, the oldest first; some of them may have one by now.
  private var headless: [(id: StreamID, stream: StreamCore, since: Instant)] = []
  private var isDelivering = false
  /// Streams of requests that are not closed, and since when nothing is to be done for any.
  private var open: [StreamID: StreamCore] = [:]
  private var idleSince: Instant
  /// When the last step towards the end was taken: the advice, or a look whether all is answered.
  private var leavingSince: Instant?
  private var timer: LoopTimer?

  init(_ connection: ConnectionCore, path: NetworkPath, door: HTTP3Door, loop: any EventLoop) {
    self.connection = connection
    self.door = door
    self.loop = loop
    (local, source) = (path.local, path.remote)
    idleSince = loop.now
  }

  // MARK: Requests

  private func pump(_ stream: StreamCore) {
    // Whoever reads while it is told of something hears the rest right after.
    guard !isDelivering else { return }
    isDelivering = true
    session?.readable(
      stream, while: { requests[stream.id]?.hasRoom ?? true },
      { event in
        switch event {
        case .fields(let id, let fields, let isLast):
          if id == stream.id { begin(fields, on: stream, hasBody: !isLast) }
        case .oversized: say(PublicAnswer.tooLarge, to: "", on: stream)
        case .data(let id, let bytes): requests[id]?.receive(bytes)
        case .end(let id): requests[id]?.receiveEnd()
        case .refused, .stopSending, .resetStream: break
        }
      })
    isDelivering = false
  }

  private func begin(_ fields: [HTTP3Field], on stream: StreamCore, hasBody: Bool) {
    guard let session, requests[stream.id] == nil else { return }
    headless.removeAll { $0.id == stream.id }
    do throws(HTTP3Request.Refusal) {
      let request = try HTTP3Request(fields, hasBody: hasBody)
      // RFC 9114 §3.3: one connection may serve several hosts, but no others than it proved to.
      guard door.serves(request.host) else {
        return say(PublicAnswer.misdirected, to: request.method, on: stream)
      }
      let socket = HTTP3RequestSocket(
        request, hasBody: hasBody, on: stream, of: session, loop: loop,
        pull: { [weak self] in self?.pump(stream) })
      requests[stream.id] = socket
      door.deliver(socket, source, local)
    } catch {
      let method = fields.first { $0.name == ":method" }?.text ?? ""
      switch error {
      case .malformed: session.abandon(stream, .messageError)
      case .refused(let reason): say(PublicAnswer.malformed(reason), to: method, on: stream)
      case .tooLarge: say(PublicAnswer.tooLarge, to: method, on: stream)
      }
    }
  }

  /// Answers a request that goes nowhere; one with HEAD without a body.
  private func say(_ words: [UInt8], to method: String, on stream: StreamCore) {
    guard let session else { return }
    headless.removeAll { $0.id == stream.id }
    var pieces: [(fields: [HTTP3Field], body: [UInt8])] = []
    var answer = AnswerTranslator(method: method)
    words.withUnsafeBytes { words in
      answer.read(words) { piece in
        switch piece {
        case .fields(let fields, _): pieces.append((fields, []))
        case .data(let bytes): if !pieces.isEmpty { pieces[0].body += bytes }
        case .information, .end, .malformed: break
        }
      }
    }
    guard let piece = pieces.first else { return session.abandon(stream, .internalError) }
    session.submitResponse(
      on: stream, piece.fields, body: piece.body.isEmpty ? nil : ShortBody(piece.body))
    session.stopReading(stream)
  }

  // MARK: Time

  /// For the oldest request without a head, or for the whole connection.
  private func arm() {
    disarm()
    let step = leavingSince.map { $0 + Self.farewellTime } ?? idleSince + Self.idleMax
    let deadline = headless.first.map { min(step, $0.since + HostSocket.headTimeout) } ?? step
    let timer = LoopTimer { [weak self] now in self?.expire(now: now) }
    self.timer = timer
    loop.schedule(timer, at: deadline)
  }

  private func disarm() {
    if let timer { loop.cancel(timer) }
    timer = nil
  }

  /// Heads that take too long, as with HTTP/1.1, and visitors who want nothing.
  private func expire(now: Instant) {
    while let oldest = headless.first, now >= oldest.since + HostSocket.headTimeout {
      headless.removeFirst()
      session?.abandon(oldest.stream, .requestRejected)
    }
    if !isIdle { idleSince = now }
    if let leavingSince {
      if now >= leavingSince + Self.farewellTime { leave(now: now) }
    } else if now >= idleSince + Self.idleMax {
      leavingSince = now
      session?.announceEnd()
    }
    if session != nil { arm() }
  }

  /// The visitor has had the time to hear of the end. What it asked for meanwhile is finished first.
  private func leave(now: Instant) {
    session?.refuseRequests()
    leavingSince = now
    if isIdle { session?.close() }
  }

  /// Whether the visitor has all that it asked for. It may have left streams half open, which are then
  /// its own affair.
  private var isIdle: Bool {
    open.values.allSatisfy { stream in
      let isOver = requests[stream.id]?.isOver ?? !headless.contains { $0.id == stream.id }
      return isOver && stream.unacknowledgedCount == 0
    }
  }

  /// At the relay's end.
  func close() { session?.close() }

  /// What a browser's own patience with an idle connection is about; PINGs do not prolong it.
  private static let idleMax = Duration.seconds(60)
  /// RFC 9114 §5.2: a round trip at least between the advice and the refusal.
  private static let farewellTime = Duration.seconds(1)
}

extension HTTP3Visit: ConnectionDelegate {
  func connectionReady(_ connection: ConnectionCore) {
    let session = HTTP3Session(connection)
    self.session = session
    session.start(delegate: self)
    arm()
  }

  func connection(_ connection: ConnectionCore, opened stream: StreamCore) {
    stream.delegate = self
    session?.opened(stream)
    guard !stream.id.isUnidirectional else { return }
    headless.append((stream.id, stream, loop.now))
    open[stream.id] = stream
    idleSince = loop.now
    if headless.count == 1 { arm() }
  }

  func connectionAllowsStreams(_ connection: ConnectionCore) {}

  func connection(_ connection: ConnectionCore, received datagram: UnsafeRawBufferPointer) {}

  func connection(_ connection: ConnectionCore, closed error: QuicError) {
    disarm()
    headless = []
    open = [:]
    for request in requests.values { request.fail() }
    requests = [:]
    session = nil
    door.ended(self, from: source)
  }
}

extension HTTP3Visit: StreamDelegate {
  func streamReadable(_ stream: StreamCore) { pump(stream) }

  func streamWritable(_ stream: StreamCore) { session?.writable(stream) }

  func streamReset(_ stream: StreamCore, code: UInt64) {
    session?.reset(stream)
    // RFC 9114 §4.1.1: a request that is cancelled wants no answer either.
    headless.removeAll { $0.id == stream.id }
    guard !stream.id.isUnidirectional else { return }
    session?.abandon(stream, .requestCancelled)
    requests[stream.id]?.fail()
  }

  func streamStopped(_ stream: StreamCore, code: UInt64) {
    session?.stopped(stream)
    // Who wants no answer is not read any more either; else what it sends would keep the stream for ever.
    if !stream.id.isUnidirectional { session?.abandon(stream, .requestCancelled) }
    requests[stream.id]?.fail()
  }

  func streamClosed(_ stream: StreamCore, error: QuicError?) {
    session?.closed(stream)
    requests.removeValue(forKey: stream.id)?.fail()
    guard !stream.id.isUnidirectional else { return }
    headless.removeAll { $0.id == stream.id }
    open[stream.id] = nil
    guard open.isEmpty, error == nil else { return }
    idleSince = loop.now
    arm()
  }
}

/// A few words.
private final class ShortBody: HTTP3Body {
  private var rest: ArraySlice<UInt8>

  init(_ bytes: [UInt8]) {
    rest = bytes[...]
  }

  func read(into buffer: UnsafeMutableRawBufferPointer) -> HTTP3BodyPart {
    let part = rest.prefix(buffer.count)
    buffer.copyBytes(from: part)
    rest = rest.dropFirst(part.count)
    return .bytes(part.count, isLast: rest.isEmpty)
  }
}
