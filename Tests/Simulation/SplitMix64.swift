/// A small deterministic generator (Steele, Lea, Flood: "Fast splittable pseudorandom number
/// generators"): one addition and three mixes per number, any seed is a good seed.
public struct SplitMix64: RandomNumberGenerator, Sendable {
  private var state: UInt64

  public init(seed: UInt64) {
    state = seed
  }

  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }

  /// True with this probability. Always draws a number, so that changing one rate of a link does
  /// not shift the fate of everything after it.
  public mutating func chance(_ probability: Double) -> Bool {
    Double(next() >> 11) * 0x1p-53 < probability
  }

  /// A number from 0 up to and without `bound`; 0 when `bound` is 0.
  public mutating func below(_ bound: UInt64) -> UInt64 {
    // The multiplication's high half is uniform enough for simulations, and draws exactly once.
    next().multipliedFullWidth(by: bound).high
  }
}
