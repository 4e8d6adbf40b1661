import Simulation
import Testing

@testable import Tunnel

@Suite("Wire writer")
struct WireWriterTests {
  @Test(
    "a varint takes the shortest form (RFC 9000 §A.1)",
    arguments: [
      (151_288_809_941_952_652, [0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c]),
      (494_878_333, [0x9d, 0x7f, 0x3e, 0x7d]), (15_293, [0x7b, 0xbd]), (37, [0x25]),
      (0, [0x00]), (63, [0x3f]), (64, [0x40, 0x40]), (16_383, [0x7f, 0xff]),
      (16_384, [0x80, 0x00, 0x40, 0x00]), ((1 << 30) - 1, [0xbf, 0xff, 0xff, 0xff]),
      (1 << 30, [0xc0, 0, 0, 0, 0x40, 0, 0, 0]),
      ((1 << 62) - 1, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
    ] as [(UInt64, [UInt8])])
  func varint(value: UInt64, bytes: [UInt8]) {
    var writer = WireWriter()
    writer.varint(value)
    #expect(writer.bytes == bytes)
  }

  @Test("numbers are in network order, prefixed bytes follow their length")
  func fields() {
    var writer = WireWriter()
    writer.byte(0xfe)
    writer.uint16(0x0102)
    writer.uint64(0x0304_0506_0708_090a)
    writer.prefixed([UInt8](repeating: 7, count: 64))
    writer.raw([1, 2])
    let expected: [UInt8] =
      [0xfe, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0x40, 0x40] + [UInt8](repeating: 7, count: 64) + [1, 2]
    #expect(writer.bytes == expected)
  }

  @Test("what is written is read back", arguments: Seeds.all)
  func roundTrip(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    for _ in 0..<1_000 {
      // Every size of number comes up, not only large ones.
      let value = random.next() >> (2 + random.below(62))
      let payload = Payload.bytes(Int(random.below(80)), seed: random.next())
      var writer = WireWriter()
      writer.varint(value)
      writer.prefixed(payload)
      writer.uint64(value)
      writer.uint16(UInt16(truncatingIfNeeded: value))
      var reader = WireReader(writer.bytes)
      #expect(reader.varint() == value)
      #expect(reader.prefixed(max: 80).map(Array.init) == payload)
      #expect(reader.uint64() == value)
      #expect(reader.uint16() == UInt16(truncatingIfNeeded: value))
      #expect(reader.count == 0)
    }
  }
}
