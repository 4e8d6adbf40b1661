import Simulation
import Testing

@testable import QuicTransport

@Suite("FrameScanner")
struct FrameScannerTests {
  private struct Found: Equatable {
    var id: Int64
    var code: UInt64
  }

  private func scan(_ bytes: [UInt8]) -> [Found] {
    var found: [Found] = []
    bytes.withUnsafeBytes { bytes in
      _ = FrameScanner.scan(bytes) { found.append(Found(id: $0.number, code: $1)) }
    }
    return found
  }

  /// STOP_SENDING for stream 4 with code 0x1234.
  private static let stop: [UInt8] = [0x05, 0x04, 0x52, 0x34]
  private static let expected = Found(id: 4, code: 0x1234)

  @Test(
    "the frame is found behind every other kind of frame",
    arguments: [
      [],
      [0x00, 0x00, 0x00], [0x01], [0x1e],
      [0x02, 0x09, 0x00, 0x01, 0x02, 0x01, 0x01],
      [0x03, 0x09, 0x00, 0x00, 0x02, 0x01, 0x02, 0x03],
      [0x04, 0x00, 0x07, 0x09],
      [0x06, 0x00, 0x03, 5, 5, 5],
      [0x07, 0x02, 5, 5],
      [0x0a, 0x08, 0x02, 5, 5], [0x0f, 0x08, 0x40, 0x80, 0x01, 5],
      [0x10, 0x05], [0x11, 0x04, 0x05], [0x12, 0x05], [0x13, 0x05], [0x14, 0x05],
      [0x15, 0x04, 0x05], [0x16, 0x05], [0x17, 0x05],
      [0x18, 0x01, 0x00, 0x02, 5, 5] + [UInt8](repeating: 5, count: 16),
      [0x19, 0x05],
      [0x1a] + [UInt8](repeating: 5, count: 8), [0x1b] + [UInt8](repeating: 5, count: 8),
      [0x31, 0x03, 5, 5, 5],
    ] as [[UInt8]])
  func behind(_ frame: [UInt8]) {
    #expect(scan(frame + Self.stop) == [Self.expected])
    #expect(scan(Self.stop + frame + Self.stop) == [Self.expected, Self.expected])
  }

  @Test(
    "frames that reach to the end of the packet hide nothing",
    arguments: [
      [0x08, 0x04], [0x0c, 0x04, 0x09], [0x30], [0x1c, 0x00, 0x00, 0x00], [0x1d, 0x00, 0x00],
      [0x40, 0x99],
    ] as [[UInt8]])
  func toTheEnd(_ frame: [UInt8]) {
    #expect(scan(frame + Self.stop).isEmpty)
  }

  @Test("codes and streams of eight bytes are read whole")
  func large() {
    let bytes: [UInt8] =
      [0x05, 0xc0, 0, 0, 0, 0, 0, 1, 0] + [UInt8](repeating: 0xff, count: 8)
    #expect(scan(bytes) == [Found(id: 256, code: (1 << 62) - 1)])
  }

  @Test("truncated and random payloads are survived", arguments: Seeds.first(20))
  func fuzz(seed: UInt64) {
    for count in 0..<Self.stop.count { #expect(scan(Array(Self.stop[..<count])).isEmpty) }
    var random = SplitMix64(seed: seed)
    for _ in 0..<20_000 {
      let count = Int(random.below(40))
      let bytes = (0..<count).map { _ in
        UInt8(truncatingIfNeeded: random.chance(0.5) ? random.below(0x32) : random.next())
      }
      #expect(scan(bytes).count <= count / 3)
    }
  }
}
