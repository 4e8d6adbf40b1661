/// Finds datagrams in the byte stream of a carrier, in the form that its kind has. Sans-I/O.
///
///     dialling:   TCP        open
///                 WebSocket  upgrading --101--> open
///     accepting:  undecided --the preface's first byte--> TCP --preface--> open
///                           '-- `G` of a GET ------------> upgrading --request--> open
struct CarrierDecoder {
  private var phase: Phase
  /// Only the one of the carrier's kind is used.
  private var frames = FrameDecoder()
  private var messages: WebSocketDecoder
  private var head = LenientHeadReader()
  /// What is left of the preface.
  private var preface = FrameHeader.preface[...]
  /// What the dialling side of a WebSocket asked with.
  private let key: String?

  private enum Phase {
    case undecided
    case preface
    case upgrading
    case frames
    case messages
  }

  /// The accepting side, which learns the kind from the first byte.
  init() {
    phase = .undecided
    messages = WebSocketDecoder(expectsMask: true)
    key = nil
  }

  /// The dialling side.
  ///
  /// - Parameter key: of a WebSocket: what it is asked for with; nil for TCP.
  init(key: String?) {
    phase = key == nil ? .frames : .upgrading
    messages = WebSocketDecoder(expectsMask: false)
    self.key = key
  }

  /// What was found; bytes are valid during the call.
  enum Event {
    /// From now on datagrams may go both ways, as this kind has them.
    case opened(CarrierKind)
    case datagram(UnsafeRawBufferPointer)
    /// To be answered with a pong (RFC 6455 §5.5.2).
    case ping(UnsafeRawBufferPointer)
    /// To be sent as it is.
    case answer([UInt8])
  }

  /// How the stream stands after a piece of it.
  enum Verdict: Equatable {
    case goOn
    /// It is to be closed without a word.
    case foreign
    /// It was answered, and is to be closed.
    case answered
    /// It is to be closed with this code in a Close frame (RFC 6455 §7.1.1).
    case closing(code: UInt16, isViolation: Bool)
  }

  /// Takes bytes of the stream.
  mutating func decode(_ bytes: UnsafeRawBufferPointer, event: (Event) -> Void) -> Verdict {
    var rest = bytes
    if phase == .undecided, let first = rest.first {
      phase = first == UInt8(ascii: "G") ? .upgrading : .preface
    }
    let verdict: Verdict =
      switch phase {
      case .upgrading: upgrade(&rest, event)
      case .preface: takePreface(&rest, event)
      case .undecided, .frames, .messages: .goOn
      }
    guard verdict == .goOn, !rest.isEmpty else { return verdict }
    if phase == .messages { return decodeMessages(rest, event) }
    return frames.decode(rest) { event(.datagram($0)) } ? .goOn : .foreign
  }

  private mutating func takePreface(
    _ rest: inout UnsafeRawBufferPointer, _ event: (Event) -> Void
  ) -> Verdict {
    let part = rest.prefix(preface.count)
    guard preface.starts(with: part) else { return .foreign }
    preface.removeFirst(part.count)
    rest = UnsafeRawBufferPointer(rebasing: rest[part.count...])
    if preface.isEmpty {
      phase = .frames
      event(.opened(.tcp))
    }
    return .goOn
  }

  private mutating func decodeMessages(
    _ bytes: UnsafeRawBufferPointer, _ event: (Event) -> Void
  ) -> Verdict {
    let verdict = messages.decode(bytes) { found in
      switch found {
      case .datagram(let datagram): event(.datagram(datagram))
      case .ping(let payload): event(.ping(payload))
      }
    }
    switch verdict {
    case .goOn: return .goOn
    case .closed(let code): return .closing(code: code ?? 1_000, isViolation: false)
    case .violation(let violation): return .closing(code: violation.rawValue, isViolation: true)
    }
  }

  /// Reads the request or the response that a WebSocket begins with.
  private mutating func upgrade(
    _ rest: inout UnsafeRawBufferPointer, _ event: (Event) -> Void
  ) -> Verdict {
    switch head.read(rest) {
    case .needsMore:
      rest = UnsafeRawBufferPointer(rebasing: rest[rest.count...])
      return .goOn
    case .malformed, .oversized:
      guard key == nil else { return .foreign }
      event(.answer(WebSocketUpgrade.refusal("400 Bad Request")))
      return .answered
    case .head(let head, let count):
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
      if let key {
        guard WebSocketUpgrade.isOpened(by: head, key: key) else { return .foreign }
      } else {
        let answer = WebSocketUpgrade.answer(to: head)
        event(.answer(answer.bytes))
        guard answer.isOpen else { return .answered }
      }
      phase = .messages
      event(.opened(.webSocket))
      return .goOn
    }
  }
}
