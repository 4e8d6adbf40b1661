internal import QuicTransport

/// Reads the answer to one request as HTTP/1.x has it and tells what of it HTTP/3 carries
/// (RFC 9114 §4): the fields without those of the connection, the body without its chunks.
///
///     head --1xx--> head --final head--> body --its end--> over        trailers are dropped
///       '-- what is no answer --> broken
struct AnswerTranslator {
  /// A piece of the answer.
  enum Piece {
    /// An answer before the final one (RFC 9110 §15.2).
    case information([HTTP3Field])
    /// The final head; with `isLast`, there is no body.
    case fields([HTTP3Field], isLast: Bool)
    /// Some of the body; valid during the call.
    case data(UnsafeRawBufferPointer)
    /// The end of the body, which is told of where there is one.
    case end
    /// These bytes are no answer, or one that HTTP/3 has no word for.
    case malformed
  }

  private let method: String
  private var phase = Phase.head
  private var head = AnswerTranslator.freshHead
  private var body = BodyCounter(.length(0))

  private enum Phase {
    case head
    case body
    case over
    case broken
  }

  /// - Parameter method: of the request: HEAD has no body.
  init(method: String) {
    self.method = method
  }

  /// Takes the next bytes; what stands behind the answer is none of it.
  mutating func read(_ bytes: UnsafeRawBufferPointer, _ tell: (Piece) -> Void) {
    var rest = bytes
    while !rest.isEmpty {
      switch phase {
      case .head:
        switch head.read(rest) {
        case .needsMore: return
        case .malformed, .oversized: return fail(tell)
        case .head(let answer, let count):
          rest = UnsafeRawBufferPointer(rebasing: rest[count...])
          head = Self.freshHead
          take(answer, tell)
        }
      case .body:
        let outcome = body.read(rest) { tell(.data(UnsafeRawBufferPointer(rebasing: $0))) }
        switch outcome {
        case .goesOn: return
        case .malformed: return fail(tell)
        case .ended:
          phase = .over
          tell(.end)
        }
      case .over, .broken: return
      }
    }
  }

  /// No more comes. A body without a length ends with the connection; anything else is incomplete.
  mutating func finish(_ tell: (Piece) -> Void) {
    switch phase {
    case .body where body.endsWithConnection:
      phase = .over
      tell(.end)
    case .head, .body: fail(tell)
    case .over, .broken: break
    }
  }

  private mutating func fail(_ tell: (Piece) -> Void) {
    phase = .broken
    tell(.malformed)
  }

  private mutating func take(_ answer: LenientHead, _ tell: (Piece) -> Void) {
    // RFC 9114 §4.5: there is no 101.
    guard let status = answer.status, status >= 100, status != 101,
      let fields = Self.fields(of: answer, status)
    else { return fail(tell) }
    guard status >= 200 else { return tell(.information(fields)) }
    // RFC 9112 §6.3.
    let hasNone = method == "HEAD" || status == 204 || status == 304
    let framing =
      hasNone
      ? .length(0)
      : BodyFraming.ofAnswer(
        codings: answer.members(of: "transfer-encoding"), lengths: answer.values("content-length"))
    // What is not chunked in the end would reach the client encoded, and without a word about it.
    let codings = answer.members(of: "transfer-encoding")
    guard let framing, hasNone || codings.isEmpty || codings == ["chunked"] else {
      return fail(tell)
    }
    body = BodyCounter(framing)
    phase = body.isEmpty ? .over : .body
    tell(.fields(fields, isLast: body.isEmpty))
  }

  /// What goes on of a head; nil where it has bytes that no field may have.
  private static func fields(of answer: LenientHead, _ status: Int) -> [HTTP3Field]? {
    // RFC 9110 §7.6.1, RFC 9114 §4.2.
    var dropped = Set(answer.members(of: "connection"))
    dropped.formUnion(FieldRules.connectionSpecific)
    // RFC 9112 §6.3: it would not count beside chunks.
    if !answer.values("transfer-encoding").isEmpty { dropped.insert("content-length") }
    var fields = [HTTP3Field(":status", String(status))]
    var hasLength = false
    for field in answer.fields where !dropped.contains(field.name) {
      guard FieldRules.isName(field.name.utf8), FieldRules.isValue(field.bytes) else { return nil }
      // Several that agree are one (RFC 9110 §8.6).
      if field.name == "content-length" {
        if hasLength { continue }
        hasLength = true
      }
      fields.append(HTTP3Field(field.name, field.bytes))
    }
    return fields
  }

  private static var freshHead: LenientHeadReader { LenientHeadReader(bytesMax: headMax) }

  /// As much as browsers take.
  private static let headMax = 64 * 1024
}
