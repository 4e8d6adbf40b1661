import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Reassembler")
struct ReassemblerTests {
  private static let start = Instant(nanoseconds: 1_000_000_000)

  private struct Piece {
    var flow: UInt64
    var fragment: DatagramHeader.Fragment
    var bytes: [UInt8]
  }

  private static func cut(
    _ bytes: [UInt8], into count: Int, flow: UInt64, number: UInt64
  ) -> [Piece] {
    let size = (bytes.count + count - 1) / count
    return (0..<count).map { index in
      let range = min(index * size, bytes.count)..<min((index + 1) * size, bytes.count)
      return Piece(
        flow: flow, fragment: .init(number: number, index: index, count: count),
        bytes: Array(bytes[range]))
    }
  }

  private static func add(
    _ piece: Piece, to reassembler: inout Reassembler, now: Instant = start
  ) -> [UInt8]? {
    piece.bytes.withUnsafeBytes {
      reassembler.add(piece.fragment, of: piece.flow, $0, now: now)
    }
  }

  @Test(
    "fragments in any order, with some lost and some twice, give whole datagrams or none",
    arguments: Seeds.all)
  func anyOrder(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var reassembler = Reassembler()
    for round in UInt64(0)..<50 {
      var whole: [[UInt8]] = []
      var expected: [[UInt8]] = []
      var pieces: [Piece] = []
      for number in 0..<UInt64(8) {
        // Numbers overlap between flows.
        let size = 2 + Int(random.below(9_000))
        let bytes = Payload.bytes(size, seed: random.next())
        let cut = Self.cut(
          bytes, into: min(size, 2 + Int(random.below(9))), flow: number % 2,
          number: round * 8 + number / 2)
        let isLost = random.chance(0.3)
        pieces += isLost ? Array(cut.dropFirst()) : cut
        if !isLost { expected.append(bytes) }
        if random.chance(0.3), isLost { pieces += cut.dropFirst() }
      }
      pieces.shuffle(using: &random)
      for piece in pieces {
        if let bytes = Self.add(piece, to: &reassembler) { whole.append(bytes) }
      }
      let order: ([UInt8], [UInt8]) -> Bool = { $0.lexicographicallyPrecedes($1) }
      #expect(whole.sorted(by: order) == expected.sorted(by: order), "round \(round)")
      // What is incomplete is gone after a second.
      reassembler.expire(now: Self.start + .seconds(1))
      #expect(reassembler.bytesHeld == 0 && reassembler.deadline == nil)
    }
  }

  @Test("a fragment that contradicts the others is dropped, and the datagram still comes about")
  func contradictions() {
    var reassembler = Reassembler()
    let bytes = Payload.bytes(3_000, seed: 1)
    let pieces = Self.cut(bytes, into: 3, flow: 1, number: 5)
    #expect(Self.add(pieces[0], to: &reassembler) == nil)
    var other = pieces[1]
    other.fragment.count = 4
    #expect(Self.add(other, to: &reassembler) == nil)
    var again = pieces[0]
    again.bytes = [9]
    #expect(Self.add(again, to: &reassembler) == nil)
    #expect(reassembler.droppedCount == 2)
    #expect(Self.add(pieces[2], to: &reassembler) == nil)
    #expect(Self.add(pieces[1], to: &reassembler) == bytes)
    #expect(reassembler.bytesHeld == 0)
  }

  @Test("more than the largest UDP payload never comes about")
  func tooLarge() {
    var reassembler = Reassembler()
    let pieces = Self.cut([UInt8](repeating: 1, count: 65_508), into: 2, flow: 1, number: 1)
    #expect(pieces.allSatisfy { Self.add($0, to: &reassembler) == nil })
    let largest = Self.cut([UInt8](repeating: 1, count: 65_507), into: 2, flow: 1, number: 2)
    #expect(largest.compactMap { Self.add($0, to: &reassembler) }.map(\.count) == [65_507])
  }

  @Test("a flood of beginnings is bounded in number and bytes", arguments: Seeds.all)
  func flood(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var reassembler = Reassembler()
    for _ in 0..<5_000 {
      let count = 2 + Int(random.below(63))
      let piece = Piece(
        flow: random.below(4),
        fragment: .init(
          number: random.below(200), index: Int(random.below(UInt64(count))), count: count),
        bytes: [UInt8](repeating: 0, count: Int(random.below(61_000))))
      _ = Self.add(piece, to: &reassembler)
      #expect(reassembler.bytesHeld <= Reassembler.bytesMax)
    }
    let held = Mirror(reflecting: reassembler).descendant("order") as? [Any]
    #expect((held?.count ?? .max) <= Reassembler.datagramsMax)
  }
}
