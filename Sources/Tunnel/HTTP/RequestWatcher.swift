internal import QuicTransport

/// Looks at an HTTP/1.x connection that passes by, and tells of each request and its answer.
///
/// It keeps nothing but the head that is passing and a line for each open request, both bounded, and
/// changes nothing. Whatever is not plain HTTP/1.x, or ceases to be, is not looked at any more
/// (`isWatching`): TLS, HTTP/2, a WebSocket after its upgrade, a server that speaks first.
struct RequestWatcher {
  /// Whether there is a point in showing it more.
  private(set) var isWatching = true

  private var answers = AnswerReader()
  private var phase = Phase.between
  private var head = LenientHeadReader()
  private var body = BodyCounter(.length(0))
  private var begin: Instant
  private let reporter: Reporter

  private enum Phase {
    /// Before the first byte of a request.
    case between
    case head
    case body
  }

  /// - Parameters:
  ///   - flow: of the connection, for the reports.
  ///   - report: called within the calls that bring bytes.
  init(flow: Int64, service: String, report: @escaping (RequestReport) -> Void) {
    reporter = Reporter(flow: flow, service: service, report: report)
    begin = Instant(nanoseconds: 0)
  }

  /// Bytes of the client, as they pass.
  mutating func sawRequests(_ bytes: UnsafeRawBufferPointer, now: Instant) {
    var rest = bytes
    while isWatching, !rest.isEmpty {
      switch phase {
      case .between:
        // RFC 9112 §2.2: empty lines in front of a request are no part of it.
        guard let start = rest.firstIndex(where: { $0 != 0x0d && $0 != 0x0a }) else { return }
        rest = UnsafeRawBufferPointer(rebasing: rest[start...])
        guard Self.mayBegin(rest[0]) else { return isWatching = false }
        begin = now
        phase = .head
      case .head:
        switch head.read(rest) {
        case .needsMore: return
        case .malformed, .oversized: return isWatching = false
        case .head(let request, let count):
          rest = UnsafeRawBufferPointer(rebasing: rest[count...])
          head = LenientHeadReader()
          guard take(request) else { return isWatching = false }
        }
      case .body:
        switch body.read(rest) {
        case .goesOn: return
        case .malformed: return isWatching = false
        case .ended(let count):
          rest = UnsafeRawBufferPointer(rebasing: rest[count...])
          phase = .between
        }
      }
    }
  }

  /// Bytes of the server, as they pass.
  mutating func sawAnswers(_ bytes: UnsafeRawBufferPointer, now: Instant) {
    guard isWatching else { return }
    answers.read(bytes) { [reporter] in reporter.tell($0, status: $1, bodyCount: $2, now: now) }
    if answers.phase == .switched || answers.phase == .lost { isWatching = false }
  }

  /// The server sends no more.
  mutating func sawEndOfAnswers(now: Instant) {
    guard isWatching else { return }
    answers.finish { [reporter] in reporter.tell($0, status: $1, bodyCount: $2, now: now) }
  }

  /// The connection is over. Requests without a whole answer are told of as such.
  mutating func end(now: Instant) {
    guard isWatching else { return }
    isWatching = false
    for (index, request) in answers.requests.enumerated() {
      reporter.tell(
        request, status: index == 0 ? answers.status : nil,
        bodyCount: index == 0 ? answers.bodyCount : 0, isWhole: false, now: now)
    }
  }

  // MARK: Internals

  private mutating func take(_ head: LenientHead) -> Bool {
    let parts = head.startParts
    // HTTP/1.1 and 1.0 alone; the preface of HTTP/2 calls itself HTTP/2.0 (RFC 9113 §3.4).
    guard parts.count == 3, parts[2] == "HTTP/1.1" || parts[2] == "HTTP/1.0",
      (1...Self.methodMax).contains(parts[0].utf8.count),
      let framing = BodyFraming.ofRequest(
        codings: head.members(of: "transfer-encoding"), lengths: head.values("content-length"),
        minorVersion: parts[2] == "HTTP/1.1" ? 1 : 0)
    else { return false }
    body = BodyCounter(framing)
    phase = body.isEmpty ? .between : .body
    return answers.expect(
      AnswerReader.Request(
        method: String(parts[0]), path: Self.path(of: parts[1]), begin: begin))
  }

  /// By bytes: what combines with a question mark would make another character of it.
  private static func path(of target: Substring) -> String {
    let path = target.utf8.prefix { $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
    return String(decoding: path.prefix(pathMax), as: UTF8.self)
  }

  /// Methods are upper case wherever they are used (RFC 9110 §9.1).
  private static func mayBegin(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
  }

  /// The longest that is registered has 17 letters (RFC 9110 §16.1).
  private static let methodMax = 24
  /// In bytes; more does not fit on any line.
  private static let pathMax = 512

  /// Apart from the watcher, which is being changed when an answer ends.
  private struct Reporter {
    let flow: Int64
    let service: String
    let report: (RequestReport) -> Void

    func tell(
      _ request: AnswerReader.Request, status: Int?, bodyCount: UInt64, isWhole: Bool = true,
      now: Instant
    ) {
      report(
        RequestReport(
          flow: flow, service: service, method: request.method, path: request.path, status: status,
          isWhole: isWhole, answerBytes: bodyCount, duration: now - request.begin))
    }
  }
}
