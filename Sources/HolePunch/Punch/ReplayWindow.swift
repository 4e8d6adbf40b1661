/// Remembers which numbers of the peer's messages have been seen, as RFC 4303 §3.4.3 does: a window
/// behind the highest one. What falls out of it counts as seen.
struct ReplayWindow {
  private var words = [UInt64](repeating: 0, count: ReplayWindow.count / 64)
  private var highest: UInt32?

  /// More than a birthday search has in flight.
  static let count = 4_096

  /// True for a number that comes for the first time.
  mutating func accept(_ number: UInt32) -> Bool {
    if let highest, number <= highest {
      guard highest - number < Self.count, !bit(number) else { return false }
    } else {
      // What the window moves over is forgotten.
      let first = highest.map { UInt64($0) + 1 } ?? 0
      let skipped = min(UInt64(number) + 1 - first, UInt64(Self.count))
      for offset in 0..<skipped { setBit(UInt32(UInt64(number) - offset), false) }
      highest = number
    }
    setBit(number, true)
    return true
  }

  private func bit(_ number: UInt32) -> Bool {
    words[Int(number) % Self.count / 64] & 1 << (UInt64(number) % 64) != 0
  }

  private mutating func setBit(_ number: UInt32, _ value: Bool) {
    let mask: UInt64 = 1 << (UInt64(number) % 64)
    let index = Int(number) % Self.count / 64
    if value { words[index] |= mask } else { words[index] &= ~mask }
  }
}
