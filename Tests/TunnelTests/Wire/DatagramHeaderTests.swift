import Simulation
import Testing

@testable import Tunnel

@Suite("Datagram header")
struct DatagramHeaderTests {
  private static func encode(_ header: DatagramHeader, _ payload: [UInt8]) -> [UInt8] {
    var memory = [UInt8](repeating: 0xee, count: DatagramHeader.sizeMax)
    let count = memory.withUnsafeMutableBytes(header.write)
    return memory.prefix(count) + payload
  }

  /// The header and the payload as an array, which outlives the bytes.
  static func decode(_ bytes: [UInt8], namesService: Bool) -> (DatagramHeader, [UInt8])? {
    bytes.withUnsafeBytes { bytes in
      DatagramHeader.decode(bytes, namesService: namesService).map {
        ($0.header, Array($0.payload))
      }
    }
  }

  @Test("headers of every size survive encoding, with any payload", arguments: Seeds.all)
  func roundTrip(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    for _ in 0..<1_000 {
      let number = { random.next() >> (2 + random.below(62)) }
      let count = 2 + Int(random.below(63))
      let header = DatagramHeader(
        flow: number(), service: random.chance(0.5) ? number() : nil,
        fragment: random.chance(0.5)
          ? nil
          : .init(number: number(), index: Int(random.below(UInt64(count))), count: count))
      let payload = [UInt8](repeating: 7, count: Int(random.below(3)))
      let decoded = try #require(
        Self.decode(Self.encode(header, payload), namesService: header.service != nil))
      #expect(decoded.0 == header && decoded.1 == payload)
    }
  }

  @Test(
    "what does not follow the protocol is refused",
    arguments: [
      [], [1], [1, 2], [1, 2, 2], [0x40], [1, 2, 1], [1, 2, 1, 0], [1, 2, 1, 0, 0],
      // Index at or above the count, counts of 0, 1 and above 64, and a truncated one.
      [1, 2, 1, 0, 2, 2], [1, 2, 1, 0, 63, 2], [1, 2, 1, 0, 0, 0], [1, 2, 1, 0, 0, 1],
      [1, 2, 1, 0, 0, 0x40, 65], [1, 2, 1, 0, 0, 0x40],
    ] as [[UInt8]])
  func malformed(bytes: [UInt8]) {
    #expect(Self.decode(bytes, namesService: true) == nil)
  }

  @Test("random bytes never crash it", arguments: Seeds.all)
  func noise(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var decoded = 0
    for _ in 0..<20_000 {
      let bytes = Payload.bytes(Int(random.below(24)), seed: random.next())
      if Self.decode(bytes, namesService: random.chance(0.5)) != nil { decoded += 1 }
    }
    #expect(decoded < 20_000)
  }
}
