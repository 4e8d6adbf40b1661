import Simulation
import Testing

@testable import QuicTransport

@Suite("Datagram queue")
struct DatagramQueueTests {
  private static let start = Instant(nanoseconds: 1_000_000_000)

  private static func append(
    _ bytes: [UInt8], to queue: inout DatagramQueue, now: Instant = start
  ) {
    // Cut somewhere, as a header and a payload are.
    bytes.withUnsafeBytes { bytes in
      let middle = bytes.count / 3
      queue.append(
        UnsafeRawBufferPointer(rebasing: bytes[..<middle]),
        UnsafeRawBufferPointer(rebasing: bytes[middle...]), now: now)
    }
  }

  private static func contents(_ queue: DatagramQueue) -> [[UInt8]] {
    var rest = queue
    var contents: [[UInt8]] = []
    while !rest.isEmpty {
      contents.append(rest.withFirst { Array($0) })
      rest.removeFirst()
    }
    return contents
  }

  @Test("it holds what an array would hold, whatever is done to it", arguments: Seeds.all)
  func model(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var queue = DatagramQueue(bytesMax: 200_000)
    var model: [[UInt8]] = []
    var dropped: UInt64 = 0
    for step in 0..<20_000 {
      switch random.below(5) {
      case 0, 1:
        let size = Int(random.below(random.chance(0.1) ? 20_000 : 300))
        let bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: step), count: size)
        let cost = { model.reduce(0) { $0 + $1.count + DatagramQueue.overhead } }
        while !model.isEmpty, cost() + size + DatagramQueue.overhead > 200_000 {
          model.removeFirst()
          dropped += 1
        }
        model.append(bytes)
        Self.append(bytes, to: &queue)
      case 2, 3:
        guard !model.isEmpty else { continue }
        #expect(queue.withFirst { Array($0) } == model.removeFirst())
        queue.removeFirst()
      case 4 where random.chance(0.01):
        model.removeAll()
        queue.removeAll()
      default: break
      }
      #expect(queue.count == model.count && queue.isEmpty == model.isEmpty)
      #expect(queue.firstCount == model.first?.count ?? 0)
    }
    #expect(Self.contents(queue) == model)
    #expect(queue.droppedCount == dropped)
  }

  @Test("a full queue drops its oldest, and one that is too large leaves it alone with itself")
  func full() {
    var queue = DatagramQueue(bytesMax: 1_000)
    for number in UInt8(0)..<10 {
      Self.append([UInt8](repeating: number, count: 218), to: &queue)
    }
    #expect(Self.contents(queue).map(\.first) == [6, 7, 8, 9])
    #expect(queue.droppedCount == 6)
    #expect(queue.cost == 1_000)
  }

  @Test("what has waited for too long is dropped, what has waited as long as allowed is not")
  func age() {
    var queue = DatagramQueue(bytesMax: 1_000)
    for number in UInt8(0)..<5 {
      Self.append([number], to: &queue, now: Self.start + .milliseconds(Int64(number) * 10))
    }
    let end = Self.start + .milliseconds(40)
    queue.dropOlder(than: .milliseconds(20), now: end, keeping: 0)
    #expect(Self.contents(queue) == [[2], [3], [4]])
    #expect(queue.droppedCount == 2)
    queue.dropOlder(than: .milliseconds(5), now: end, keeping: 2 * (1 + DatagramQueue.overhead))
    #expect(Self.contents(queue) == [[3], [4]])
  }

  @Test("a queue that never drains grows with what it holds, not with what passed through it")
  func memory() throws {
    var queue = DatagramQueue(bytesMax: 1 << 20)
    Self.append([UInt8](repeating: 0, count: 1_200), to: &queue)
    for number in 1...10_000 {
      Self.append([UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 1_200), to: &queue)
      queue.removeFirst()
      #expect(queue.count == 1)
    }
    let bytes = Mirror(reflecting: queue).descendant("bytes") as? [UInt8]
    #expect(try #require(bytes).capacity < 128 * 1024)
  }
}

@Suite("Datagram turns")
struct DatagramTurnsTests {
  @Test("with both waiting, each gets half of the bytes whatever the sizes", arguments: Seeds.all)
  func halves(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var turns = DatagramTurns()
    var (datagrams, streams) = (0, 0)
    for _ in 0..<100_000 {
      let size = 1 + Int(random.below(1_400))
      if turns.isDatagramNext {
        turns.sentDatagram(size, streamsWait: true)
        datagrams += size
      } else {
        turns.sentStream(size)
        streams += size
      }
    }
    #expect(abs(datagrams - streams) < 20_000)
  }

  @Test("datagrams that nobody waited behind are not held against them")
  func alone() {
    var turns = DatagramTurns()
    for _ in 0..<1_000 { turns.sentDatagram(1_200, streamsWait: false) }
    #expect(turns.isDatagramNext)
  }
}
