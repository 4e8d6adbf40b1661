internal import QuicTransport

/// The connection of an HTTP/1.x client, bound to the host that its first request is for.
///
/// A connection leads to one share, but its requests may name several hosts: proxies in front of us send
/// the requests of many clients over one. A request for another host must not reach this share, not even
/// the beginning of its head, so heads are held back until they are whole. Such a request ends the
/// connection with 421 (RFC 9110 §15.5.20), after the answers that are still due: a client then opens
/// another. Choosing the share anew for each request would need an HTTP proxy that reads and writes
/// answers; this one only counts bytes, and what goes on is what came.
///
///     head --whole, same host--> body --> head       an upgrade: undecided --101--> open
///       '-- other host, doubtful, slow, large --> cut                  '--else--> head
final class HostSocket: StreamSocket {
  weak var handler: (any StreamSocketHandler)?

  private let socket: any StreamSocket
  private let host: String
  private let loop: any EventLoop
  private var phase = Phase.head
  /// What came and may not go on yet: a head that is not whole, or what stands behind an upgrade.
  private var held: [UInt8]
  /// How much of it was searched for the end of a head.
  private var searched = 0
  /// What may go on and was not read yet.
  private var ready: ArraySlice<UInt8> = []
  private var body = BodyCounter(.length(0))
  private var answers = AnswerReader()
  /// The request that is passing asks for another protocol.
  private var wantsUpgrade = false
  /// What the client hears behind the answers that are due.
  private var lastWords: [UInt8]?
  /// The socket is closed, or somebody else's.
  private var hasLeft = false
  private var headTimer: LoopTimer?
  private var edgeTimer: LoopTimer?
  /// The heads of the requests that have no answer yet, while all of them may be made again.
  private var unanswered: [UInt8]? = []

  private enum Phase {
    case head
    case body
    case undecided
    case open
    case cut
  }

  /// Takes over a connection whose first head was read.
  ///
  /// - Parameter bytes: everything read so far, from the first head on.
  init(_ socket: any StreamSocket, host: String, bytes: [UInt8], loop: any EventLoop) {
    self.socket = socket
    self.host = host
    self.loop = loop
    held = bytes
    socket.handler = self
    takeHeld()
  }

  // MARK: StreamSocket

  func read(into buffer: UnsafeMutableRawBufferPointer) -> StreamSocketResult {
    while true {
      if !ready.isEmpty { return readReady(into: buffer) }
      if phase == .cut {
        sayLastWordsIfDue()
        return .ended
      }
      if hasLeft { return .ended }
      // What waits here waits for answers; who brings them wakes the reader.
      if phase == .undecided || isCrowded { return .blocked }
      let result = socket.read(into: buffer)
      guard case .moved(let count) = result else { return result }
      let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
      switch phase {
      case .open: return result
      case .body:
        switch body.read(bytes) {
        case .goesOn: return result
        case .ended(let bodyCount):
          held = Array(bytes[bodyCount...])
          endBody()
          takeHeld()
          tellSoon(.readable)
          return .moved(bodyCount)
        case .malformed: cut(PublicAnswer.malformed("the body of the request has no chunks"))
        }
      case .head, .undecided, .cut:
        held.append(contentsOf: bytes)
        takeHeld()
      }
    }
  }

  func write(_ pieces: UnsafeBufferPointer<UnsafeRawBufferPointer>) -> StreamSocketResult {
    // Nobody is there any more who could be told.
    if hasLeft { return .moved(max(1, pieces.reduce(0) { $0 + $1.count })) }
    let result = socket.write(pieces)
    guard phase != .open, case .moved(var left) = result else { return result }
    for piece in pieces where left > 0 {
      let part = UnsafeRawBufferPointer(rebasing: piece.prefix(left))
      answers.read(part) { _, _, _ in }
      left -= part.count
    }
    noteAnswers()
    return result
  }

  func finishWriting() {
    guard !hasLeft else { return }
    answers.finish { _, _, _ in }
    sayLastWordsIfDue()
    if !hasLeft { socket.finishWriting() }
  }

  func close(resetting: Bool) {
    handler = nil
    sayLastWordsIfDue()
    guard !hasLeft else { return }
    if resetting, !answers.requests.isEmpty, answers.isBetween {
      return leave(saying: PublicAnswer.away)
    }
    // A reset would tell an idle client nothing that the end does not.
    let isIdle = answers.requests.isEmpty && answers.isBetween && held.isEmpty && phase != .open
    leave(saying: nil, resetting: resetting && !isIdle)
  }

  private func readReady(into buffer: UnsafeMutableRawBufferPointer) -> StreamSocketResult {
    let part = ready.prefix(buffer.count)
    buffer.copyBytes(from: part)
    ready = ready.dropFirst(part.count)
    // A reader takes a short read for the last one until it hears of more, as with epoll(7).
    if part.count < buffer.count { tellSoon(.readable) }
    return .moved(part.count)
  }

  // MARK: What the share owes

  /// A request went to the share, and no byte of its answer has come.
  var awaitsAnswer: Bool { !answers.requests.isEmpty && answers.isBetween }

  /// All that went to the share and has no answer, where another one may be given the same: requests
  /// that only ask for something (RFC 9110 §9.2.1, §9.2.2), without a body, and so whole.
  var repeatableBytes: [UInt8]? {
    guard awaitsAnswer, phase == .head, ready.isEmpty else { return nil }
    return unanswered
  }

  private func noteRequest(_ head: HTTPHead, _ count: Int) {
    let isSafe = ["GET", "HEAD", "OPTIONS"].contains(head.method) && body.isEmpty && !wantsUpgrade
    guard isSafe, let known = unanswered, known.count + count <= Self.repeatableMax else {
      return unanswered = nil
    }
    unanswered = known + held.prefix(count)
  }

  // MARK: Requests

  private var isCrowded: Bool {
    phase == .head && answers.requests.count >= AnswerReader.requestsMax
  }

  /// Lets go on what may.
  private func takeHeld() {
    while !held.isEmpty {
      switch phase {
      case .head:
        guard !isCrowded, takeHead() else { return }
      case .body:
        switch body.read(held) {
        case .goesOn: pass(held.count)
        case .ended(let count):
          pass(count)
          endBody()
        case .malformed: cut(PublicAnswer.malformed("the body of the request has no chunks"))
        }
      case .open: pass(held.count)
      case .undecided: return
      case .cut: held = []
      }
    }
  }

  /// False where the head is not whole.
  private func takeHead() -> Bool {
    // RFC 9112 §2.2: empty lines in front of a request are no part of it.
    let emptyBytes = emptyLines
    if emptyBytes > 0 {
      pass(emptyBytes)
      return true
    }
    switch HTTPHead.read(held, searched: searched, sizeMax: HostReader.headMax) {
    case .needsMore:
      searched = held.count
      armHeadTimer()
      return false
    case .malformed: cut(PublicAnswer.malformed("this is no HTTP/1.x request"))
    case .tooLarge: cut(PublicAnswer.tooLarge)
    case .head(let head, let count): take(head, count)
    }
    return true
  }

  /// The bytes of all empty lines in front, so that thousands of them are passed on at once.
  private var emptyLines: Int {
    var count = 0
    while count + 1 < held.count, held[count] == 0x0d, held[count + 1] == 0x0a { count += 2 }
    return count
  }

  private func take(_ head: HTTPHead, _ count: Int) {
    let lengths = head.values(of: "content-length").map { String(decoding: $0, as: UTF8.self) }
    let framing = BodyFraming.ofRequest(
      codings: head.members(of: "transfer-encoding"), lengths: lengths,
      minorVersion: head.minorVersion)
    switch HostReader.host(of: head) {
    case .failure(let problem): return cut(PublicAnswer.malformed(problem.text))
    case .success(host): break
    case .success: return cut(PublicAnswer.misdirected)
    }
    guard let framing else {
      return cut(PublicAnswer.malformed("the length of the request's body is doubtful"))
    }
    // There is room: `isCrowded` was asked. An answer without a request makes it fail, too.
    guard
      answers.expect(AnswerReader.Request(method: head.method, path: "", begin: loop.now))
    else { return cut(nil) }
    wantsUpgrade = !head.values(of: "upgrade").isEmpty
    body = BodyCounter(framing)
    phase = .body
    noteRequest(head, count)
    pass(count)
    if body.isEmpty { endBody() }
  }

  private func endBody() {
    phase = wantsUpgrade ? .undecided : .head
    wantsUpgrade = false
  }

  private func pass(_ count: Int) {
    disarmHeadTimer()
    ready.append(contentsOf: held.prefix(count))
    held.removeFirst(count)
    searched = 0
  }

  // MARK: Answers

  /// Answers went by; some of what was held back may go on now.
  private func noteAnswers() {
    // With one answer of several, what is left is not told from what is done.
    unanswered = answers.requests.isEmpty && answers.isBetween ? [] : nil
    switch phase {
    case .cut: return sayLastWordsIfDue()
    case .undecided:
      switch answers.phase {
      case .switched: phase = .open
      case .lost: return cut(nil)
      case .awaiting where answers.requests.isEmpty: phase = .head
      case .awaiting, .head, .body: return
      }
    case .head:
      guard !held.isEmpty, !isCrowded else { return }
    case .body, .open: return
    }
    takeHeld()
    tellSoon(.readable)
  }

  // MARK: The end

  /// Nothing more goes on.
  ///
  /// - Parameter words: what the client hears behind the answers that are due, where there is something
  ///   to say.
  private func cut(_ words: [UInt8]?) {
    guard phase != .cut else { return }
    phase = .cut
    disarmHeadTimer()
    held = []
    lastWords = words
    tellSoon(.readable)
  }

  private func sayLastWordsIfDue() {
    guard let lastWords, !hasLeft, ready.isEmpty, answers.requests.isEmpty, answers.isBetween
    else { return }
    leave(saying: lastWords)
    tellSoon([.readable, .writable])
  }

  private func leave(saying words: [UInt8]?, resetting: Bool = false) {
    guard !hasLeft else { return }
    hasLeft = true
    phase = .cut
    (held, ready) = ([], [])
    disarmHeadTimer()
    if let words {
      Farewell.say(words, to: socket, loop: loop)
    } else {
      socket.close(resetting: resetting)
    }
  }

  // MARK: Time

  private func armHeadTimer() {
    guard headTimer == nil else { return }
    let timer = LoopTimer { [weak self] _ in self?.cut(PublicAnswer.tooSlow) }
    headTimer = timer
    loop.schedule(timer, at: loop.now + Self.headTimeout)
  }

  private func disarmHeadTimer() {
    if let headTimer { loop.cancel(headTimer) }
    headTimer = nil
  }

  /// Tells the handler soon: never from within its own call.
  private func tellSoon(_ readiness: Readiness) {
    guard edgeTimer == nil, handler != nil else { return }
    let timer = LoopTimer { [weak self] _ in
      self?.edgeTimer = nil
      self?.handler?.streamSocketReady(readiness)
    }
    edgeTimer = timer
    loop.schedule(timer, at: loop.now)
  }

  /// For a head, from its first byte on.
  static let headTimeout = Duration.seconds(10)
  /// A few requests that were sent ahead.
  private static let repeatableMax = 32 * 1024
}

extension HostSocket: StreamSocketHandler {
  func streamSocketConnected() {}

  func streamSocketFailed(_ code: Int32) {
    handler?.streamSocketFailed(code)
  }

  func streamSocketReady(_ readiness: Readiness) {
    handler?.streamSocketReady(readiness)
  }
}
