internal import Glibc
internal import QuicTransport

/// One request of HTTP/3 as a connection of HTTP/1.1: what is read from it is the request, what is
/// written to it the answer. So whoever serves visitors by HTTP/1.1 serves these as well. On the loop.
///
///     DATA --RequestBodyWriter--> inbound --read--> the share       while inbound has room
///     DATA <--nghttp3-- outbound <--AnswerTranslator-- write        while outbound has room
///
/// A stream takes one request: the connection ends with the answer.
final class HTTP3RequestSocket: StreamSocket {
  weak var handler: (any StreamSocketHandler)?

  private let session: HTTP3Session
  private let stream: StreamCore
  private let loop: any EventLoop
  /// Gives the session what the stream has, which may come back as `receive`.
  private let pull: () -> Void
  private var inbound = ByteQueue()
  private var body: RequestBodyWriter
  private var answer: AnswerTranslator
  private let method: String
  /// Answers before the final one that were passed on.
  private var announcements = 0
  private var outbound = ByteQueue()
  /// A writer found `outbound` full.
  private var writerWaits = false
  private var requestIsOver = false
  /// The answer's head was handed over, and all of it.
  private var hasAnswered = false
  private var answerIsOver = false
  private var readerLeft = false
  /// Somebody has taken some of the request.
  private var wasRead = false
  /// The stream is gone or given up before its answer was complete.
  private var isBroken = false
  private var edgeTimer: LoopTimer?
  private var edge: Readiness = []
  private var lingerTimer: LoopTimer?

  /// - Parameter hasBody: whether more than the fields comes.
  init(
    _ request: HTTP3Request, hasBody: Bool, on stream: StreamCore, of session: HTTP3Session,
    loop: any EventLoop, pull: @escaping () -> Void
  ) {
    self.stream = stream
    self.session = session
    self.loop = loop
    self.pull = pull
    body = RequestBodyWriter(request.framing)
    method = request.method
    answer = AnswerTranslator(method: method)
    requestIsOver = !hasBody
    append(request.head)
  }

  // MARK: From the stream

  /// Nothing more is to be done for it, but to send what is queued.
  var isOver: Bool { answerIsOver || isBroken }

  /// Whether more of the request may come.
  var hasRoom: Bool { inbound.count < Self.bytesMax }

  func receive(_ bytes: [UInt8]) {
    guard !requestIsOver, !isBroken else { return }
    guard let bytes = body.data(bytes) else { return breakOff(.messageError) }
    append(bytes)
  }

  func receiveEnd() {
    guard !requestIsOver, !isBroken else { return }
    guard let bytes = body.end() else { return breakOff(.messageError) }
    requestIsOver = true
    append(bytes)
  }

  /// The visitor has given the request up, or is gone.
  func fail() {
    requestIsOver = true
    guard !isBroken, !answerIsOver else { return }
    isBroken = true
    tellSoon([.readable, .writable, .error])
  }

  private func breakOff(_ code: HTTP3Code) {
    guard !isBroken else { return }
    session.abandon(stream, code)
    fail()
  }

  // MARK: StreamSocket

  func read(into buffer: UnsafeMutableRawBufferPointer) -> StreamSocketResult {
    if hasRoom, !requestIsOver { pull() }
    if isBroken { return .failed(ECONNRESET) }
    // Who is answered is not read any more (RFC 9114 §4.1).
    if answerIsOver { return .ended }
    guard inbound.count > 0 else { return .blocked }
    let count = min(buffer.count, inbound.count)
    inbound.withBytes { buffer.copyBytes(from: $0.prefix(count)) }
    inbound.removeFirst(count)
    wasRead = true
    return .moved(count)
  }

  func write(_ pieces: UnsafeBufferPointer<UnsafeRawBufferPointer>) -> StreamSocketResult {
    var taken = 0
    for piece in pieces {
      if isBroken { return .failed(EPIPE) }
      let room = Self.bytesMax - outbound.count
      let part = UnsafeRawBufferPointer(rebasing: piece.prefix(max(0, room)))
      if !part.isEmpty { readAnswer(part) }
      taken += part.count
      if part.count < piece.count { break }
    }
    guard taken > 0 else {
      writerWaits = true
      return .blocked
    }
    session.resume(stream)
    return .moved(taken)
  }

  func finishWriting() {
    guard !isBroken else { return }
    var pieces: [AnswerTranslator.Piece] = []
    answer.finish { pieces.append($0) }
    for piece in pieces { take(piece) }
    session.resume(stream)
  }

  func close(resetting: Bool) {
    handler = nil
    readerLeft = true
    if let lingerTimer { loop.cancel(lingerTimer) }
    lingerTimer = nil
    guard !isBroken else { return }
    // What was answered completely is on its way, and leaves without anybody's help.
    guard answerIsOver else { return breakOff(wasRead ? .internalError : .requestRejected) }
    if !requestIsOver { session.stopReading(stream) }
  }

  private func append(_ bytes: [UInt8]) {
    guard !bytes.isEmpty else { return }
    bytes.withUnsafeBytes { inbound.append($0) }
    tellSoon(.readable)
  }

  /// The pieces are handed over afterwards: the session may ask for the body at once.
  private func readAnswer(_ bytes: UnsafeRawBufferPointer) {
    var pieces: [AnswerTranslator.Piece] = []
    answer.read(bytes) { pieces.append($0) }
    for piece in pieces { take(piece) }
  }

  private func take(_ piece: AnswerTranslator.Piece) {
    switch piece {
    case .information(let fields):
      // nghttp3 keeps them for a visitor who takes nothing, and they fill no room that a writer sees.
      guard announcements < Self.announcementsMax, session.hasRoom(stream) else { break }
      announcements += 1
      session.submitInformation(on: stream, fields)
    case .fields(let fields, let isLast):
      hasAnswered = true
      session.submitResponse(on: stream, fields, body: isLast ? nil : self)
      if isLast { endAnswer() }
    case .data(let bytes): outbound.append(bytes)
    case .end: endAnswer()
    case .malformed: sayThatItFailed()
    }
  }

  private func endAnswer() {
    answerIsOver = true
    // The reader learns that nothing more is wanted, and closes at its side; or it is made to.
    tellSoon(.readable)
    let timer = LoopTimer { [weak self] _ in self?.tellSoon(.error) }
    lingerTimer = timer
    loop.schedule(timer, at: loop.now + Self.lingerTime)
  }

  /// What the share said is no answer, or not the whole of one.
  private func sayThatItFailed() {
    guard !hasAnswered, !isBroken else { return breakOff(.internalError) }
    answer = AnswerTranslator(method: method)
    PublicAnswer.away.withUnsafeBytes(readAnswer)
  }

  /// Tells the handler soon: never from within its own call.
  private func tellSoon(_ readiness: Readiness) {
    edge.formUnion(readiness)
    guard edgeTimer == nil, !readerLeft else { return }
    let timer = LoopTimer { [weak self] _ in
      guard let self else { return }
      edgeTimer = nil
      let edge = self.edge
      self.edge = []
      handler?.streamSocketReady(edge)
    }
    edgeTimer = timer
    loop.schedule(timer, at: loop.now)
  }

  /// Of each direction: what HTTP/3 and the tunnel have under way is bounded by their own windows.
  private static let bytesMax = 64 * 1024
  /// Of one request; programs send one or two.
  private static let announcementsMax = 16
  /// For a service to close, after its answer and our end: it was asked to.
  private static let lingerTime = Duration.seconds(5)
}

extension HTTP3RequestSocket: HTTP3Body {
  func read(into buffer: UnsafeMutableRawBufferPointer) -> HTTP3BodyPart {
    let count = min(buffer.count, outbound.count)
    outbound.withBytes { buffer.copyBytes(from: $0.prefix(count)) }
    outbound.removeFirst(count)
    if writerWaits, outbound.count <= Self.bytesMax / 2 {
      writerWaits = false
      tellSoon(.writable)
    }
    let isLast = answerIsOver && outbound.count == 0
    return count == 0 && !isLast ? .blocked : .bytes(count, isLast: isLast)
  }
}
