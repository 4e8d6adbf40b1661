import CNgtcp2
import Simulation
import Testing

@testable import QuicTransport

@Suite("CryptoGuard")
struct CryptoGuardTests {
  private func judge(
    _ guardian: inout CryptoGuard, _ level: ngtcp2_encryption_level, at offset: UInt64 = 0,
    _ bytes: [UInt8]
  ) -> CryptoGuard.Verdict {
    bytes.withUnsafeBytes { guardian.judge(level: level, offset: offset, bytes: $0) }
  }

  @Test("hellos pass up to 16 KiB, other handshake bytes up to 64 KiB", arguments: [true, false])
  func handshakeCap(isServer: Bool) {
    let caps: [(ngtcp2_encryption_level, UInt64)] = [
      (NGTCP2_ENCRYPTION_LEVEL_INITIAL, 16_384), (NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE, 65_536),
    ]
    for (level, cap) in caps {
      var guardian = CryptoGuard(isServer: isServer)
      #expect(judge(&guardian, level, [1, 0xff, 0xff, 0xff]) == .accept)
      #expect(judge(&guardian, level, at: cap - 1, [0]) == .accept)
      #expect(judge(&guardian, level, at: cap - 1, [0, 0]) == .excessive)
      #expect(judge(&guardian, level, at: .max, [0]) == .excessive)
    }
  }

  @Test("a server takes nothing after the handshake")
  func server() {
    var guardian = CryptoGuard(isServer: true)
    #expect(judge(&guardian, NGTCP2_ENCRYPTION_LEVEL_1RTT, [4]) == .unexpected)
  }

  private static let ticket: [UInt8] = [4, 0, 0, 3, 9, 9, 9]

  @Test("a client takes tickets, in any pieces", arguments: Seeds.all)
  func tickets(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var guardian = CryptoGuard(isServer: false)
    let bytes = Array(repeating: Self.ticket, count: 20).flatMap(\.self)
    var offset = 0
    while offset < bytes.count {
      let end = min(bytes.count, offset + 1 + Int(random.below(9)))
      let piece = Array(bytes[offset..<end])
      let verdict = judge(&guardian, NGTCP2_ENCRYPTION_LEVEL_1RTT, at: UInt64(offset), piece)
      #expect(verdict == .accept)
      offset = end
    }
  }

  @Test("a client refuses every other message, wherever it stands", arguments: 0...255)
  func others(type: Int) {
    let expected = type == 4 ? CryptoGuard.Verdict.accept : .unexpected
    var guardian = CryptoGuard(isServer: false)
    #expect(judge(&guardian, NGTCP2_ENCRYPTION_LEVEL_1RTT, [UInt8(type)]) == expected)
    var second = CryptoGuard(isServer: false)
    let bytes = Self.ticket + [UInt8(type), 0, 0, 0]
    #expect(judge(&second, NGTCP2_ENCRYPTION_LEVEL_1RTT, bytes) == expected)
  }

  @Test("tickets end at 256 KiB")
  func ticketCap() {
    var guardian = CryptoGuard(isServer: false)
    let level = NGTCP2_ENCRYPTION_LEVEL_1RTT
    #expect(judge(&guardian, level, at: 262_140, Array(Self.ticket[..<4])) == .accept)
    #expect(judge(&guardian, level, at: 262_144, [0]) == .excessive)
  }
}
