internal import QuicTransport

/// Follows the answers of an HTTP/1.x connection that pass by, each to the request that it belongs to.
///
///     awaiting --final head--> body --its end--> awaiting          1xx heads go by
///        '-- 101, or 2xx to CONNECT --> switched                   what follows is no HTTP/1.x
///        '-- what is no answer -------> lost
struct AnswerReader {
  /// A request whose answer has not ended.
  struct Request {
    let method: String
    /// Without the query, which may hold secrets.
    let path: String
    /// When its first byte passed.
    let begin: Instant
  }

  /// Where the connection stands.
  enum Phase: Equatable {
    /// For the next answer, of which no byte has come.
    case awaiting
    case head
    case body
    /// To another protocol.
    case switched
    /// It is not known any more.
    case lost
  }

  private(set) var phase = Phase.awaiting
  /// The oldest first.
  private(set) var requests: [Request] = []
  /// The answer to the oldest, once its head has passed.
  private(set) var status: Int?
  /// Bytes of its body, with what chunks add.
  private(set) var bodyCount: UInt64 = 0

  private var head = LenientHeadReader()
  private var body = BodyCounter(.length(0))

  /// Whether the answer to the oldest request has not begun; also where none is awaited.
  var isBetween: Bool { phase == .awaiting }

  /// The most requests that may wait for their answers (pipelining); programs that send ahead send a
  /// handful.
  static let requestsMax = 64

  /// A request passed; false where too many wait already.
  mutating func expect(_ request: Request) -> Bool {
    guard requests.count < Self.requestsMax, phase != .switched, phase != .lost else {
      phase = .lost
      return false
    }
    requests.append(request)
    return true
  }

  /// Takes the next bytes of the answers. `ended` is told of each request that has its answer.
  mutating func read(
    _ bytes: UnsafeRawBufferPointer, ended: (Request, _ status: Int, _ bodyCount: UInt64) -> Void
  ) {
    var rest = bytes
    while !rest.isEmpty {
      switch phase {
      case .awaiting, .head:
        guard !requests.isEmpty else { return phase = .lost }
        phase = .head
        switch head.read(rest) {
        case .needsMore: return
        case .malformed, .oversized: return phase = .lost
        case .head(let answer, let count):
          rest = UnsafeRawBufferPointer(rebasing: rest[count...])
          head = LenientHeadReader()
          take(answer, ended)
        }
      case .body:
        let outcome = body.read(rest)
        switch outcome {
        case .goesOn:
          bodyCount += UInt64(rest.count)
          return
        case .malformed: return phase = .lost
        case .ended(let count):
          bodyCount += UInt64(count)
          rest = UnsafeRawBufferPointer(rebasing: rest[count...])
          end(ended)
        }
      case .switched, .lost: return
      }
    }
  }

  /// No more answers come. A body without a length ends with the connection.
  mutating func finish(ended: (Request, _ status: Int, _ bodyCount: UInt64) -> Void) {
    if phase == .body, body.endsWithConnection { end(ended) }
  }

  private mutating func take(
    _ answer: LenientHead, _ ended: (Request, _ status: Int, _ bodyCount: UInt64) -> Void
  ) {
    guard let status = answer.status, let request = requests.first else { return phase = .lost }
    if status == 101 || request.method == "CONNECT" && (200..<300).contains(status) {
      self.status = status
      end(ended)
      return phase = .switched
    }
    // RFC 9110 §15.2: the final answer is still to come.
    guard status >= 200 else { return phase = .awaiting }
    // RFC 9112 §6.3.
    let hasNone = request.method == "HEAD" || status == 204 || status == 304
    let framing =
      hasNone
      ? .length(0)
      : BodyFraming.ofAnswer(
        codings: answer.members(of: "transfer-encoding"), lengths: answer.values("content-length"))
    guard let framing else { return phase = .lost }
    self.status = status
    body = BodyCounter(framing)
    phase = .body
    if body.isEmpty { end(ended) }
  }

  private mutating func end(_ ended: (Request, _ status: Int, _ bodyCount: UInt64) -> Void) {
    let request = requests.removeFirst()
    ended(request, status ?? 0, bodyCount)
    phase = .awaiting
    status = nil
    bodyCount = 0
  }
}
