internal import Synchronization

/// The sums of a shard, as it publishes them for the desk: written on the shard's loop alone, read
/// from any other at any time, without a lock. Each number is right by itself.
final class ForwardingCounters: Sendable {
  // SAFETY: initialised once, of fixed size, freed with its owner; each cell is atomic.
  nonisolated(unsafe) private let cells: UnsafeMutablePointer<Atomic<UInt64>>

  init() {
    cells = .allocate(capacity: ForwardingTotals.numbersCount)
    for index in 0..<ForwardingTotals.numbersCount {
      (cells + index).initialize(to: Atomic(0))
    }
  }

  deinit {
    cells.deinitialize(count: ForwardingTotals.numbersCount)
    cells.deallocate()
  }

  /// On the shard's loop.
  func publish(_ totals: ForwardingTotals) {
    var index = 0
    totals.forEachNumber { number in
      cells[index].store(number, ordering: .relaxed)
      index += 1
    }
  }

  /// What was published last.
  var totals: ForwardingTotals {
    ForwardingTotals(
      numbers: (0..<ForwardingTotals.numbersCount).map { cells[$0].load(ordering: .relaxed) })
  }
}
