/// What happens to the packets of one kind in one direction. Probabilities are from 0 to 1, times in
/// nanoseconds.
struct Faults {
  var delay: UInt64 = 0
  /// Up to this much more delay, evenly spread; the order stays.
  var jitter: UInt64 = 0
  var loss = 0.0
  /// Mean length of a series of losses, in packets; 1 means that each is independent.
  var burst = 1.0
  /// Independent losses in a row, at most; 0 is no limit.
  var lossesInRowMax = 0
  var duplicate = 0.0
  /// How often a packet is held back by `reorderDelay` while others pass it.
  var reorder = 0.0
  var reorderDelay: UInt64 = 0
  var corrupt = 0.0
  /// Damage only this many first bytes of what UDP carries, one byte at a time; 0 damages all of it.
  var corruptedHead = 0
  /// Packets of this kind, counted from 1 and from when this was set, that vanish.
  var dropped: ClosedRange<Int>?
  /// IP packets above this many bytes vanish without a word; 0 is no limit.
  var sizeMax = 0
  var isBlackhole = false
}
