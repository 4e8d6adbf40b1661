import Testing

@testable import QuicTransport

@Suite("EarlyPacketGuard")
struct EarlyPacketGuardTests {
  private static let path = NetworkPath(local: .loopbackIPv4, remote: .loopbackIPv4)

  /// A Handshake packet (RFC 9000 §17.2.4) with a body of `count` bytes.
  private func handshake(_ count: Int) -> [UInt8] {
    [0xe0, 0, 0, 0, 1, 2, 7, 7, 1, 8, 0x40 | UInt8(count >> 8), UInt8(count & 0xff)]
      + [UInt8](repeating: 0x55, count: count)
  }

  /// An Initial packet (RFC 9000 §17.2.2) without a token.
  private func initial(_ count: Int) -> [UInt8] {
    [0xc0, 0, 0, 0, 1, 2, 7, 7, 1, 8, 0, 0x40 | UInt8(count >> 8), UInt8(count & 0xff)]
      + [UInt8](repeating: 0x55, count: count)
  }

  private let short = [0x41] + [UInt8](repeating: 0x66, count: 40)

  private func longLength(_ bytes: [UInt8]) -> Int {
    bytes.withUnsafeBytes { EarlyPacketGuard.longHeaderLength($0) }
  }

  private func admit(_ guardian: inout EarlyPacketGuard, _ bytes: [UInt8]) -> Int {
    bytes.withUnsafeBytes {
      guardian.admit(ReceivedDatagram(bytes: $0, path: Self.path, ecn: .capable0))
    }
  }

  @Test("a datagram is cut at its first short header")
  func cut() {
    #expect(longLength(initial(100)) == initial(100).count)
    let coalesced = initial(100) + handshake(300)
    #expect(longLength(coalesced) == coalesced.count)
    #expect(longLength(coalesced + short) == coalesced.count)
    #expect(longLength(short) == 0)
    #expect(longLength(short + coalesced) == 0)
    #expect(longLength([]) == 0)
  }

  @Test("what cannot be walked is left to ngtcp2 as a whole")
  func malformed() {
    let truncated = Array(initial(100).dropLast())
    #expect(longLength(truncated) == truncated.count)
    let header = Array(initial(100)[..<6])
    #expect(longLength(header) == header.count)
    let retry: [UInt8] = [0xf0, 0, 0, 0, 1, 1, 7, 1, 8] + [UInt8](repeating: 3, count: 40)
    #expect(longLength(retry) == retry.count)
    let negotiation: [UInt8] = [0x80, 0, 0, 0, 0, 1, 7, 1, 8, 0, 0, 0, 1]
    #expect(longLength(negotiation) == negotiation.count)
  }

  @Test("what was cut off comes back once, with its path and mark")
  func replay() {
    var guardian = EarlyPacketGuard()
    #expect(admit(&guardian, handshake(50) + short) == handshake(50).count)
    #expect(admit(&guardian, short) == 0)
    #expect(admit(&guardian, handshake(50)) == handshake(50).count)
    let held = guardian.takeHeld()
    #expect(held.map(\.bytes) == [short, short])
    #expect(held.allSatisfy { $0.path == Self.path && $0.ecn == .capable0 })
    #expect(guardian.takeHeld().isEmpty)
  }

  @Test("no more than eight are kept, and those beyond are dropped rather than admitted")
  func bound() {
    var guardian = EarlyPacketGuard()
    for _ in 0..<20 { #expect(admit(&guardian, short) == 0) }
    #expect(guardian.held.count == 8)
  }
}
