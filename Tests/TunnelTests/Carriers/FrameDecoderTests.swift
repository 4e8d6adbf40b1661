import Simulation
import Testing

@testable import Tunnel

@Suite("Datagrams in a byte stream")
struct FrameDecoderTests {
  private static func encode(_ datagrams: [[UInt8]]) -> [UInt8] {
    var encoder = CarrierEncoder(kind: .tcp, isServer: true)
    var stream: [UInt8] = []
    for datagram in datagrams {
      datagram.withUnsafeBytes { bytes in
        encoder.encode(bytes) { stream.append(contentsOf: $0) }
      }
    }
    return stream
  }

  private static func decode(
    _ decoder: inout FrameDecoder, _ piece: some Sequence<UInt8>, into found: inout [[UInt8]]
  ) -> Bool {
    Array(piece).withUnsafeBytes { bytes in
      decoder.decode(bytes) { found.append(Array($0)) }
    }
  }

  @Test("datagrams come out whole, whatever the pieces", arguments: Seeds.all)
  func pieces(seed: UInt64) {
    var dice = SplitMix64(seed: seed)
    let sizes = [1, 2, 43, 1_200, 1_472, 32_768, 65_535]
    let datagrams = (0..<40).map { index in
      [UInt8](repeating: UInt8(index), count: sizes.randomElement(using: &dice) ?? 1)
    }
    let stream = Self.encode(datagrams)
    var decoder = FrameDecoder()
    var found: [[UInt8]] = []
    var rest = stream[...]
    while !rest.isEmpty {
      let count = Int.random(in: 1...(Bool.random(using: &dice) ? 5 : 20_000), using: &dice)
      #expect(Self.decode(&decoder, rest.prefix(count), into: &found), "seed \(seed)")
      rest = rest.dropFirst(count)
    }
    #expect(found == datagrams, "seed \(seed)")
  }

  @Test("one byte at a time works as well")
  func singleBytes() {
    let datagrams: [[UInt8]] = [[1], [2, 3], Array(repeating: 4, count: 300)]
    var decoder = FrameDecoder()
    var found: [[UInt8]] = []
    for byte in Self.encode(datagrams) {
      #expect(Self.decode(&decoder, [byte], into: &found))
    }
    #expect(found == datagrams)
  }

  @Test("a length of zero ends the stream")
  func malformed() {
    var decoder = FrameDecoder()
    var found: [[UInt8]] = []
    #expect(!Self.decode(&decoder, [0, 0], into: &found))
    decoder = FrameDecoder()
    #expect(Self.decode(&decoder, [0], into: &found))
    #expect(!Self.decode(&decoder, [0], into: &found))
    #expect(found.isEmpty)
  }
}
