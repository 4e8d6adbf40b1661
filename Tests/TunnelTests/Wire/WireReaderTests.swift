import Testing

@testable import Tunnel

@Suite("Wire reader")
struct WireReaderTests {
  @Test(
    "a varint is read in every form (RFC 9000 §A.1)",
    arguments: [
      ([0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c], 151_288_809_941_952_652),
      ([0x9d, 0x7f, 0x3e, 0x7d], 494_878_333), ([0x7b, 0xbd], 15_293), ([0x25], 37),
      ([0x40, 0x25], 37), ([0x80, 0, 0, 0x25], 37), ([0xc0, 0, 0, 0, 0, 0, 0, 0x25], 37),
    ] as [([UInt8], UInt64)])
  func varint(bytes: [UInt8], value: UInt64) {
    var reader = WireReader(bytes + [0xaa])
    #expect(reader.varint() == value)
    #expect(reader.count == 1)
    // Cut short anywhere, it is not there, and nothing is taken.
    for count in 0..<bytes.count {
      var reader = WireReader(bytes.prefix(count))
      #expect(reader.varint() == nil)
      #expect(reader.count == count)
    }
  }

  @Test("fields that are not there are nil and take nothing")
  func missing() {
    var reader = WireReader([1])
    #expect(reader.uint16() == nil)
    #expect(reader.uint64() == nil)
    #expect(reader.raw(2) == nil)
    #expect(reader.raw(-1) == nil)
    #expect(reader.byte() == 1)
    #expect(reader.byte() == nil)
  }

  @Test("a length above the limit, or above what is there, is refused")
  func prefixed() {
    let bytes: [UInt8] = [3, 1, 2, 3]
    var whole = WireReader(bytes)
    #expect(whole.prefixed(max: 3).map(Array.init) == [1, 2, 3])
    var limited = WireReader(bytes)
    #expect(limited.prefixed(max: 2) == nil)
    var short = WireReader(bytes.dropLast())
    #expect(short.prefixed(max: 3) == nil)
    // A length that no Int holds must not trap.
    var huge = WireReader([UInt8](repeating: 0xff, count: 16))
    #expect(huge.prefixed(max: .max) == nil)
  }

  @Test("a slice is read from its own start")
  func slices() {
    var reader = WireReader([9, 9, 1, 2][2...])
    #expect(reader.uint16() == 0x0102)
  }
}
