/// A running FNV-1a digest of what happened in a simulation; two runs that differ anywhere differ
/// here.
public struct TraceHash: Equatable, Sendable {
  public private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325
  /// Numbers noted so far.
  public private(set) var count = 0

  public init() {}

  public mutating func note(_ number: UInt64) {
    count += 1
    var rest = number
    for _ in 0..<8 {
      value = (value ^ (rest & 0xff)) &* 0x100_0000_01b3
      rest >>= 8
    }
  }
}
