internal import CNgtcp2

/// Judges CRYPTO bytes before GnuTLS sees them.
///
/// ngtcp2 1.11 caps only reordered CRYPTO data (at 64 KiB), and GnuTLS buffers an unfinished
/// ClientHello of up to 16 MiB (F3). After the handshake, a TLS KeyUpdate makes GnuTLS install keys a second time,
/// which ngtcp2 answers by aborting the process (F1); RFC 9001 §6 wants unexpected_message instead.
/// So offsets are capped at every level, and after the handshake a client takes NewSessionTicket
/// only and a server nothing at all.
struct CryptoGuard {
  private let isServer: Bool
  /// The TLS message that the next 1-RTT byte belongs to.
  private var header: [UInt8] = []
  private var bodyLeft = 0

  init(isServer: Bool) {
    self.isServer = isServer
  }

  /// What to do with bytes that arrived in order.
  enum Verdict: Equatable {
    case accept
    /// Close with CRYPTO_BUFFER_EXCEEDED (RFC 9000 §7.5).
    case excessive
    /// Close with the TLS alert unexpected_message (RFC 8446 §6.2).
    case unexpected
  }

  mutating func judge(
    level: ngtcp2_encryption_level, offset: UInt64, bytes: UnsafeRawBufferPointer
  ) -> Verdict {
    let (end, overflow) = offset.addingReportingOverflow(UInt64(bytes.count))
    let isApplication = level == NGTCP2_ENCRYPTION_LEVEL_1RTT
    guard !overflow, end <= Self.bytesMax(at: level) else { return .excessive }
    guard isApplication else { return .accept }
    if isServer { return .unexpected }
    return judgeMessages(bytes)
  }

  /// RFC 8446 §4: one byte of type, three of length, then the body; any split is possible.
  private mutating func judgeMessages(_ bytes: UnsafeRawBufferPointer) -> Verdict {
    var rest = bytes[...]
    while let byte = rest.first {
      if bodyLeft > 0 {
        let skipped = min(bodyLeft, rest.count)
        bodyLeft -= skipped
        rest = rest.dropFirst(skipped)
        continue
      }
      header.append(byte)
      rest = rest.dropFirst()
      if header[0] != Self.newSessionTicket { return .unexpected }
      if header.count == 4 {
        bodyLeft = Int(header[1]) << 16 | Int(header[2]) << 8 | Int(header[3])
        header.removeAll(keepingCapacity: true)
      }
    }
    return .accept
  }

  private static func bytesMax(at level: ngtcp2_encryption_level) -> UInt64 {
    switch level {
    case NGTCP2_ENCRYPTION_LEVEL_INITIAL: initialMax
    case NGTCP2_ENCRYPTION_LEVEL_1RTT: applicationMax
    default: handshakeMax
    }
  }

  /// Of a stranger: one ClientHello or ServerHello, which has some 2 KiB with keys of post-quantum
  /// cryptography. RFC 9000 §7.5 asks for 4 KiB at least.
  private static let initialMax: UInt64 = 16 * 1024
  /// Ample for mutual certificate chains; ngtcp2 itself adopted this figure later.
  private static let handshakeMax: UInt64 = 64 * 1024
  private static let applicationMax: UInt64 = 256 * 1024
  private static let newSessionTicket: UInt8 = 4
}
