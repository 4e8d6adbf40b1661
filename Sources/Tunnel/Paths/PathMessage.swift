internal import QuicTransport

/// What the two ends of a session say to each other about its paths, outside of QUIC, on the path in
/// question. docs/protocol.md has the bytes and test vectors.
///
///     0x2a, version (1), type (1), session (8), number (8), argument (8), tag (16): 43 bytes
///
/// All messages have the same size, so that no answer is larger than its question; a probe may be
/// followed by zeros, to see whether packets of that size pass. The tag is HMAC-SHA-256 over
/// everything before it under a key that only the sending side of this session has, cut to 16 bytes.
struct PathMessage: Equatable {
  var type: MessageType
  var session: SessionID
  /// Grows with every message of a sender that is not an answer; an answer repeats it.
  var number: UInt64
  var argument: UInt64

  /// What is said.
  enum MessageType: UInt8 {
    /// Are you there? The argument is the path's number, given by the client.
    case probe = 1
    /// Yes; answers a probe, with its argument.
    case probeAnswer = 2
    /// The client sends on this path from now on; so shall the server. The argument is the switch's
    /// generation.
    case select = 3
    /// Done; answers a select.
    case selectAnswer = 4
    /// The server asks the client to leave the path in use: bytes do not arrive.
    case complaint = 5
  }

  static let byteCount = 43
  static let firstByte: UInt8 = 0x2a
  private static let version: UInt8 = 1
  private static let tagCount = 16

  /// - Parameter size: bytes in all, with padding; no less than `byteCount`.
  func encoded(key: SecretBytes, size: Int = byteCount) -> [UInt8] {
    var writer = WireWriter()
    writer.byte(Self.firstByte)
    writer.byte(Self.version)
    writer.byte(type.rawValue)
    writer.uint64(session.number)
    writer.uint64(number)
    writer.uint64(argument)
    writer.raw(Crypto.hmacSHA256(key: key, writer.bytes).prefix(Self.tagCount))
    return writer.bytes + [UInt8](repeating: 0, count: max(0, size - Self.byteCount))
  }

  /// The session that a datagram claims to belong to; nil if it is no path message.
  static func session(of bytes: UnsafeRawBufferPointer) -> SessionID? {
    // The types tell path messages of any size from the probes of hole punching.
    guard bytes.count >= byteCount, bytes[0] == firstByte, bytes[1] == version,
      MessageType(rawValue: bytes[2]) != nil
    else { return nil }
    var reader = WireReader(bytes[3..<11])
    return reader.uint64().map(SessionID.init)
  }

  /// Checks the tag first, in constant time; nil for anything that its sender did not make.
  init?(_ bytes: UnsafeRawBufferPointer, key: SecretBytes) {
    guard let session = Self.session(of: bytes) else { return nil }
    let padding = bytes.count - Self.byteCount
    let bytes = UnsafeRawBufferPointer(rebasing: bytes.prefix(Self.byteCount))
    let content = Array(bytes.dropLast(Self.tagCount))
    let tag = SecretBytes(Crypto.hmacSHA256(key: key, content).prefix(Self.tagCount))
    guard tag.matches(UnsafeRawBufferPointer(rebasing: bytes.suffix(Self.tagCount))),
      let type = MessageType(rawValue: bytes[2]), padding == 0 || type == .probe
    else { return nil }
    var reader = WireReader(bytes[11..<27])
    guard let number = reader.uint64(), let argument = reader.uint64() else { return nil }
    self.init(type: type, session: session, number: number, argument: argument)
  }

  init(type: MessageType, session: SessionID, number: UInt64, argument: UInt64) {
    self.type = type
    self.session = session
    self.number = number
    self.argument = argument
  }
}

/// The number of a session in path messages: from the TLS exporter, so both sides know it and
/// nobody can choose it.
struct SessionID: Hashable {
  let number: UInt64
}
