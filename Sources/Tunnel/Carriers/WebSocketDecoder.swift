/// Finds messages in the byte stream of a WebSocket (RFC 6455 §5). Sans-I/O.
///
/// A binary message is one datagram. What is held is one message that has not arrived whole, and
/// never more than has arrived.
struct WebSocketDecoder {
  /// Whether the other side is the client, which must mask (RFC 6455 §5.1).
  private let expectsMask: Bool
  /// A frame's header that has not arrived whole.
  private var header: [UInt8] = []
  /// The frame whose payload is arriving.
  private var frame: Frame?
  /// The fragments so far of a binary message.
  private var message: [UInt8] = []
  private var isFragmented = false
  /// The payload so far of a control frame, which may stand between two fragments.
  private var control: [UInt8] = []

  private struct Frame {
    let isFinal: Bool
    let opcode: WebSocketOpcode
    let count: Int
    let key: UInt32?
    var received = 0
  }

  /// - Parameter expectsMask: true on the accepting side.
  init(expectsMask: Bool) {
    self.expectsMask = expectsMask
  }

  /// What was found; bytes are valid during the call.
  enum Event {
    case datagram(UnsafeRawBufferPointer)
    case ping(UnsafeRawBufferPointer)
  }

  /// How the stream stands after a piece of it.
  enum Verdict: Equatable {
    case goOn
    /// The peer closes the WebSocket, with this code; nil for none (RFC 6455 §5.5.1).
    case closed(code: UInt16?)
    case violation(WebSocketViolation)
  }

  /// Takes bytes of the stream.
  mutating func decode(_ bytes: UnsafeRawBufferPointer, event: (Event) -> Void) -> Verdict {
    var rest = bytes[...]
    while true {
      if frame == nil {
        guard takeHeader(&rest) else { return .goOn }
        switch parseHeader() {
        case .success(let begun): frame = begun
        case .failure(let violation): return .violation(violation)
        }
      }
      guard var current = frame else { return .goOn }
      takePayload(of: &current, from: &rest)
      frame = current
      guard current.received == current.count else { return .goOn }
      frame = nil
      let verdict = finish(current, event)
      guard verdict == .goOn else { return verdict }
    }
  }

  // MARK: Header

  /// Completes the header; false when more is needed.
  private mutating func takeHeader(_ rest: inout Slice<UnsafeRawBufferPointer>) -> Bool {
    while header.count < neededHeader {
      guard let byte = rest.popFirst() else { return false }
      header.append(byte)
    }
    return true
  }

  /// How long the header is, as far as can be told from what is there of it.
  private var neededHeader: Int {
    guard header.count >= 2 else { return 2 }
    let mask = header[1] & 0x80 == 0 ? 0 : 4
    switch header[1] & 0x7f {
    case 126: return 4 + mask
    case 127: return 10 + mask
    default: return 2 + mask
    }
  }

  private mutating func parseHeader() -> Result<Frame, WebSocketViolation> {
    defer { header.removeAll(keepingCapacity: true) }
    let isMasked = header[1] & 0x80 != 0
    guard header[0] & 0x70 == 0, let opcode = WebSocketOpcode(rawValue: header[0] & 0x0f),
      isMasked == expectsMask
    else { return .failure(.protocolError) }
    let lengthEnd = header.count - (isMasked ? 4 : 0)
    let extended = header[2..<lengthEnd].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    let count: UInt64
    switch header[1] & 0x7f {
    case 126:
      // RFC 6455 §5.2: the shortest form.
      guard extended > 125 else { return .failure(.protocolError) }
      count = extended
    case 127:
      guard extended > 0xffff, extended >> 63 == 0 else { return .failure(.protocolError) }
      count = extended
    case let short: count = UInt64(short)
    }
    let isFinal = header[0] & 0x80 != 0
    switch opcode {
    case .text: return .failure(.unsupportedData)
    case .binary, .continuation:
      guard (opcode == .continuation) == isFragmented else { return .failure(.protocolError) }
      guard count <= UInt64(Self.messageMax - message.count) else { return .failure(.tooBig) }
    case .close, .ping, .pong:
      // RFC 6455 §5.5.
      guard isFinal, count <= UInt64(WebSocketOpcode.controlMax) else {
        return .failure(.protocolError)
      }
    }
    // SAFETY: the last four bytes of a header that is whole.
    let key =
      isMasked
      ? header.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: lengthEnd, as: UInt32.self) }
      : nil
    return .success(Frame(isFinal: isFinal, opcode: opcode, count: Int(count), key: key))
  }

  // MARK: Payload

  private mutating func takePayload(
    of frame: inout Frame, from rest: inout Slice<UnsafeRawBufferPointer>
  ) {
    let part = rest.prefix(frame.count - frame.received)
    rest = rest.dropFirst(part.count)
    if frame.opcode.isControl {
      Self.append(part, to: &control, frame)
    } else {
      Self.append(part, to: &message, frame)
    }
    frame.received += part.count
  }

  private static func append(
    _ part: Slice<UnsafeRawBufferPointer>, to bytes: inout [UInt8], _ frame: Frame
  ) {
    let start = bytes.count
    bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: part))
    guard let key = frame.key else { return }
    bytes.withUnsafeMutableBytes { bytes in
      WebSocketMask.apply(
        key, to: UnsafeMutableRawBufferPointer(rebasing: bytes[start...]), phase: frame.received)
    }
  }

  private mutating func finish(_ frame: Frame, _ event: (Event) -> Void) -> Verdict {
    switch frame.opcode {
    case .binary, .continuation, .text:
      isFragmented = !frame.isFinal
      guard frame.isFinal else { return .goOn }
      // There is no datagram without a byte.
      guard !message.isEmpty else { return .violation(.unsupportedData) }
      message.withUnsafeBytes { event(.datagram($0)) }
      message.removeAll(keepingCapacity: true)
      return .goOn
    case .ping:
      control.withUnsafeBytes { event(.ping($0)) }
    case .pong: break
    case .close: return judgeClose()
    }
    control.removeAll(keepingCapacity: true)
    return .goOn
  }

  /// RFC 6455 §5.5.1 and §7.4: nothing, or a code that may stand in a frame and a reason in UTF-8.
  private func judgeClose() -> Verdict {
    if control.isEmpty { return .closed(code: nil) }
    guard control.count >= 2 else { return .violation(.protocolError) }
    let code = UInt16(control[0]) << 8 | UInt16(control[1])
    switch code {
    case 1_000...1_003, 1_007...1_014, 3_000...4_999: break
    default: return .violation(.protocolError)
    }
    guard String(validating: control[2...], as: UTF8.self) != nil else {
      return .violation(.invalidText)
    }
    return .closed(code: code)
  }

  /// A datagram, as in UDP.
  static let messageMax = 65_535
}

/// What a frame is (RFC 6455 §5.2).
enum WebSocketOpcode: UInt8 {
  case continuation = 0
  case text = 1
  case binary = 2
  case close = 8
  case ping = 9
  case pong = 10

  var isControl: Bool { rawValue >= 8 }

  /// Bytes in a control frame (RFC 6455 §5.5).
  static let controlMax = 125
}

/// What a peer did wrong, with the code that it is told (RFC 6455 §7.4.1).
enum WebSocketViolation: UInt16, Error {
  case protocolError = 1_002
  case unsupportedData = 1_003
  case invalidText = 1_007
  case tooBig = 1_009
}
