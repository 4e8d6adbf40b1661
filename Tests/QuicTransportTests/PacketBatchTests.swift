import Testing

@testable import QuicTransport

@Suite("PacketBatch")
struct PacketBatchTests {
  private let here = PathStorage(
    NetworkPath(local: .loopbackIPv4.with(port: 1), remote: .loopbackIPv4.with(port: 2)))
  private let there = PathStorage(
    NetworkPath(local: .loopbackIPv4.with(port: 1), remote: .loopbackIPv4.with(port: 3)))

  private func withBatch(_ body: (inout PacketBatch) -> Void) {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: PacketBatch.capacity, alignment: 64)
    defer { memory.deallocate() }
    var batch = PacketBatch(memory: memory)
    body(&batch)
  }

  @Test("packets of one size leave together, a shorter one ends the batch")
  func segments() {
    withBatch { batch in
      #expect(batch.take() == nil)
      batch.begin(ecn: .capable0, path: here.pointer.pointee)
      batch.add(1_200)
      #expect(batch.accepts(1_200, ecn: .capable0, path: here.pointer.pointee))
      batch.add(1_200)
      #expect(!batch.isFinal)
      batch.add(700)
      #expect(batch.isFinal)
      let taken = batch.take()
      #expect(taken?.bytes.count == 3_100 && taken?.segmentSize == 1_200)
      #expect(taken?.ecn == .capable0 && taken?.path == here.path)
      #expect(batch.take() == nil)
    }
  }

  @Test("a packet that is larger, marked otherwise or for another path starts a new batch")
  func refusal() {
    withBatch { batch in
      #expect(!batch.accepts(1_200, ecn: .capable0, path: here.pointer.pointee))
      batch.begin(ecn: .capable0, path: here.pointer.pointee)
      batch.add(1_200)
      #expect(!batch.accepts(1_201, ecn: .capable0, path: here.pointer.pointee))
      #expect(!batch.accepts(1_200, ecn: .notCapable, path: here.pointer.pointee))
      #expect(!batch.accepts(1_200, ecn: .capable0, path: there.pointer.pointee))
    }
  }

  @Test("a batch ends at 64 packets and at what one UDP datagram may hold")
  func limits() {
    withBatch { batch in
      batch.begin(ecn: .notCapable, path: here.pointer.pointee)
      for _ in 0..<64 { batch.add(100) }
      #expect(!batch.accepts(100, ecn: .notCapable, path: here.pointer.pointee))
      _ = batch.take()
      batch.begin(ecn: .notCapable, path: here.pointer.pointee)
      batch.add(32_768)
      #expect(!batch.accepts(32_768, ecn: .notCapable, path: here.pointer.pointee))
    }
  }

  @Test("a packet written behind a full batch becomes the first of the next one, in place")
  func handOver() {
    withBatch { batch in
      batch.begin(ecn: .notCapable, path: here.pointer.pointee)
      batch.end[0] = 1
      batch.add(1_200)
      batch.end[0] = 2
      #expect(batch.take()?.bytes.first == 1)
      batch.begin(ecn: .notCapable, path: there.pointer.pointee)
      batch.add(1_300)
      let second = batch.take()
      #expect(second?.bytes.first == 2 && second?.bytes.count == 1_300)
      #expect(second?.path == there.path)
    }
  }

  @Test("there is room until a packet of the largest size would not fit")
  func room() {
    withBatch { batch in
      batch.begin(ecn: .notCapable, path: here.pointer.pointee)
      batch.add(PacketBatch.capacity - 1_500)
      #expect(batch.hasRoom(for: 1_500) && !batch.hasRoom(for: 1_501))
      _ = batch.take()
      batch.rewind()
      #expect(batch.hasRoom(for: PacketBatch.capacity))
    }
  }
}
