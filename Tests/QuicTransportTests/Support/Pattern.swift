import Glibc
import Simulation

/// Bytes that can be told at any offset, so that both ends of a transfer know what must come.
///
/// A block of random bytes repeats with a period that no buffer or packet size shares: bytes that
/// are lost, doubled or swapped do not match.
struct Pattern {
  private let block: [UInt8]
  private static let period = 65_521

  init(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    block = (0..<Self.period).map { _ in UInt8(truncatingIfNeeded: random.next()) }
  }

  /// Fills `buffer` with what stands at `offset`.
  func fill(_ buffer: UnsafeMutableRawBufferPointer, at offset: Int) {
    eachRun(offset, buffer.count) { start, run, done in
      block.withUnsafeBytes { block in
        UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + run])
          .copyMemory(from: UnsafeRawBufferPointer(rebasing: block[start..<start + run]))
      }
    }
  }

  /// Whether `bytes` are what stands at `offset`.
  func matches(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Bool {
    var same = true
    eachRun(offset, bytes.count) { start, run, done in
      block.withUnsafeBytes { block in
        guard let base = bytes.baseAddress, let expected = block.baseAddress else { return }
        same = same && memcmp(base + done, expected + start, run) == 0
      }
    }
    return same
  }

  private func eachRun(_ offset: Int, _ count: Int, _ body: (Int, Int, Int) -> Void) {
    var done = 0
    while done < count {
      let start = (offset + done) % Self.period
      let run = min(count - done, Self.period - start)
      body(start, run, done)
      done += run
    }
  }
}
