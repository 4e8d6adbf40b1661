/// Which numbers of the peer's path messages have been seen, as RFC 4303 §3.4.3 does: a window behind
/// the highest one. What falls out of it counts as seen.
struct NumbersSeen {
  private var highest: UInt64 = 0
  /// Bit 0 is `highest`, bit 1 the one before it.
  private var window: UInt64 = 0

  /// True for a number that comes for the first time.
  mutating func accept(_ number: UInt64) -> Bool {
    if number > highest {
      let step = number - highest
      window = (step < 64 ? window << step : 0) | 1
      highest = number
      return true
    }
    let age = highest - number
    guard age < 64, window & 1 << age == 0 else { return false }
    window |= 1 << age
    return true
  }
}
