import CNgtcp2
import Simulation
import Testing

@testable import QuicTransport

@Suite("ChunkPool")
struct ChunkPoolTests {
  @Test(
    "small chunks are powers of two, large ones are of one size",
    arguments: [
      (1, 256), (256, 256), (257, 512), (5_000, 8_192), (32_768, 32_768), (32_769, 65_536),
      (65_536, 65_536),
    ])
  func sizes(_ wanted: Int, _ capacity: Int) {
    let pool = ChunkPool()
    let chunk = pool.take(atLeast: wanted)
    #expect(chunk.capacity == capacity && chunk.count == 0 && chunk.room == capacity)
    pool.give(chunk)
  }

  @Test("a large chunk that was given back is used again")
  func reuse() {
    let pool = ChunkPool()
    let first = pool.take(atLeast: ChunkPool.largeSize)
    pool.give(first)
    let second = pool.take(atLeast: ChunkPool.largeSize)
    #expect(first.base == second.base)
    #expect(second.count == 0)
    pool.give(second)
  }
}

@Suite("ReceiveBuffer")
struct ReceiveBufferTests {
  private func contents(_ buffer: borrowing ReceiveBuffer, limit: Int = .max) -> [UInt8] {
    buffer.withPieces(limit: limit) { pieces in
      pieces.flatMap { Array($0) }
    }
  }

  @Test("an empty buffer has no pieces")
  func empty() {
    let buffer = ReceiveBuffer(pool: ChunkPool())
    #expect(buffer.count == 0 && contents(buffer).isEmpty)
  }

  @Test("the limit of pieces is kept")
  func limit() {
    var buffer = ReceiveBuffer(pool: ChunkPool())
    let bytes = (0..<150_000).map { UInt8(truncatingIfNeeded: $0) }
    bytes.withUnsafeBytes { buffer.append($0) }
    let first = contents(buffer, limit: 1)
    #expect(first.count < bytes.count && bytes.starts(with: first))
    #expect(contents(buffer) == bytes)
    #expect(buffer.removeAll() == bytes.count)
    #expect(buffer.count == 0)
  }

  @Test("random appends and consumes keep the bytes in order", arguments: Seeds.first(20))
  func model(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var buffer = ReceiveBuffer(pool: ChunkPool())
    var model: [UInt8] = []
    for _ in 0..<300 {
      if random.chance(0.6) {
        let count = Int(random.below(random.chance(0.1) ? 200_000 : 3_000))
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ model.count) }
        bytes.withUnsafeBytes { buffer.append($0) }
        model += bytes
      } else {
        let count = Int(random.below(UInt64(model.count + 1)))
        buffer.consume(count)
        model.removeFirst(count)
      }
      #expect(buffer.count == model.count)
    }
    #expect(contents(buffer) == model)
  }
}

@Suite("SendBuffer")
struct SendBufferTests {
  private func unsent(_ buffer: inout SendBuffer, pieces: Int, limit: Int) -> [UInt8] {
    withUnsafeTemporaryAllocation(of: ngtcp2_vec.self, capacity: pieces) { vectors in
      let count = buffer.describeUnsent(vectors, limit: limit)
      return vectors[..<count].flatMap { vector in
        Array(UnsafeRawBufferPointer(start: vector.base, count: vector.len))
      }
    }
  }

  @Test("bytes stay where they are until they are acknowledged")
  func stability() {
    var buffer = SendBuffer(pool: ChunkPool())
    [UInt8](repeating: 1, count: 1_000).withUnsafeBytes { buffer.append($0) }
    var vector = ngtcp2_vec()
    withUnsafeMutablePointer(to: &vector) { pointer in
      _ = buffer.describeUnsent(UnsafeMutableBufferPointer(start: pointer, count: 1), limit: 1_000)
    }
    buffer.markSent(1_000)
    for _ in 0..<100 {
      [UInt8](repeating: 2, count: 5_000).withUnsafeBytes { buffer.append($0) }
    }
    let inFlight = UnsafeBufferPointer(start: vector.base, count: 1_000)
    #expect(inFlight.allSatisfy { $0 == 1 })
    #expect(buffer.heldCount == 501_000 && buffer.unsentCount == 500_000)
  }

  @Test("a bulk read is kept in place, a small one is moved to a small chunk")
  func reading() {
    var buffer = SendBuffer(pool: ChunkPool())
    var lent: UnsafeMutableRawPointer?
    let result = buffer.append { memory in
      lent = memory.baseAddress
      memory.copyBytes(from: [UInt8](repeating: 7, count: 40_000))
      return (40_000, "read")
    }
    #expect(result == "read")
    var vector = ngtcp2_vec()
    withUnsafeMutablePointer(to: &vector) { pointer in
      _ = buffer.describeUnsent(UnsafeMutableBufferPointer(start: pointer, count: 1), limit: 1)
    }
    #expect(UnsafeMutableRawPointer(vector.base) == lent)
    buffer.append { memory in
      memory.copyBytes(from: [8, 9])
      return (2, ())
    }
    buffer.append { _ in (0, ()) }
    #expect(buffer.unsentCount == 40_002)
    #expect(unsent(&buffer, pieces: 8, limit: .max).suffix(3) == [7, 8, 9])
  }

  @Test("dropping everything leaves nothing held")
  func removing() {
    var buffer = SendBuffer(pool: ChunkPool())
    [UInt8](repeating: 1, count: 200_000).withUnsafeBytes { buffer.append($0) }
    buffer.markSent(70_000)
    buffer.acknowledge(upTo: 10)
    buffer.removeAll()
    #expect(buffer.heldCount == 0 && buffer.unsentCount == 0)
    #expect(unsent(&buffer, pieces: 4, limit: .max).isEmpty)
  }

  @Test("random appends, sends and acknowledgements agree with a list", arguments: Seeds.first(20))
  func model(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var buffer = SendBuffer(pool: ChunkPool())
    // Everything that was ever written; positions are offsets.
    var written: [UInt8] = []
    var sent = 0
    var acknowledged = 0
    for _ in 0..<400 {
      switch random.below(4) {
      case 0:
        let count = Int(random.below(random.chance(0.2) ? 100_000 : 2_000))
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: ($0 &+ written.count) &* 13) }
        bytes.withUnsafeBytes { buffer.append($0) }
        written += bytes
      case 1:
        let count = Int(random.below(random.chance(0.3) ? 65_536 : 1_000))
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: ($0 &+ written.count) &* 13) }
        buffer.append { memory in
          memory.copyBytes(from: bytes)
          return (count, ())
        }
        written += bytes
      case 2:
        let limit = 1 + Int(random.below(20_000))
        let described = unsent(&buffer, pieces: 1 + Int(random.below(8)), limit: limit)
        #expect(written[sent...].starts(with: described))
        #expect(described.isEmpty == (sent == written.count))
        let count = Int(random.below(UInt64(described.count + 1)))
        buffer.markSent(count)
        sent += count
      default:
        acknowledged += Int(random.below(UInt64(sent - acknowledged + 1)))
        buffer.acknowledge(upTo: UInt64(acknowledged))
      }
      #expect(buffer.unsentCount == written.count - sent)
      #expect(buffer.heldCount == written.count - acknowledged)
      #expect(buffer.endOffset == UInt64(written.count))
    }
    var rest: [UInt8] = []
    while buffer.unsentCount > 0 {
      let described = unsent(&buffer, pieces: 8, limit: 1 << 20)
      rest += described
      buffer.markSent(described.count)
    }
    #expect(rest == Array(written[sent...]))
    buffer.acknowledge(upTo: UInt64(written.count))
    #expect(buffer.heldCount == 0)
  }
}
