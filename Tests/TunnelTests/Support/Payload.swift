import Simulation

/// Random bytes that both ends of a transfer can make.
enum Payload {
  static func bytes(_ count: Int, seed: UInt64) -> [UInt8] {
    // There is one empty array for all threads, and this way of making it writes to that.
    guard count > 0 else { return [] }
    var random = SplitMix64(seed: seed)
    return [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      var index = 0
      while index < count {
        var word = random.next()
        for _ in 0..<min(8, count - index) {
          buffer[index] = UInt8(truncatingIfNeeded: word)
          word >>= 8
          index += 1
        }
      }
      initialized = count
    }
  }

  /// Where received bytes stop being the ones that were sent; nil when they are the same. Failures
  /// then print this instead of a hundred thousand numbers.
  static func difference(_ received: [UInt8]?, _ sent: [UInt8]) -> String? {
    guard let received else { return "nothing received" }
    if received == sent { return nil }
    let same = zip(received, sent).prefix { $0 == $1 }.count
    return "\(received.count) bytes instead of \(sent.count), the first \(same) right"
  }
}
