/// The armed timers of a loop: a binary heap by (deadline, order of arming).
///
/// Timers know their place in it, so that moving a deadline, which happens once per connection and
/// tick, costs one sift and no allocation.
public struct TimerQueue {
  private var heap: [LoopTimer] = []
  private var sequence: UInt64 = 0

  /// A queue without timers.
  public init() {}

  /// How many timers are armed.
  public var count: Int { heap.count }

  /// The deadline of the first timer, or nil when none is armed.
  public var earliest: Instant? { heap.first?.deadline }

  /// Arms `timer` or moves its deadline.
  public mutating func schedule(_ timer: LoopTimer, at deadline: Instant) {
    sequence += 1
    timer.sequence = sequence
    timer.deadline = deadline
    if timer.heapIndex < 0 {
      timer.heapIndex = heap.count
      heap.append(timer)
    }
    siftUp(timer.heapIndex)
    siftDown(timer.heapIndex)
  }

  /// Disarms `timer`.
  public mutating func cancel(_ timer: LoopTimer) {
    let index = timer.heapIndex
    guard index >= 0 else { return }
    timer.heapIndex = -1
    let last = heap.removeLast()
    guard index < heap.count else { return }
    heap[index] = last
    last.heapIndex = index
    siftUp(index)
    siftDown(last.heapIndex)
  }

  /// Takes the first timer if it is due at `now`; the caller then calls `fire`.
  public mutating func takeDue(_ now: Instant) -> LoopTimer? {
    guard let first = heap.first, first.deadline <= now else { return nil }
    cancel(first)
    return first
  }

  private func precedes(_ left: LoopTimer, _ right: LoopTimer) -> Bool {
    left.deadline < right.deadline
      || (left.deadline == right.deadline && left.sequence < right.sequence)
  }

  private mutating func siftUp(_ start: Int) {
    var index = start
    while index > 0 {
      let parent = (index - 1) / 2
      guard precedes(heap[index], heap[parent]) else { return }
      exchange(index, parent)
      index = parent
    }
  }

  private mutating func siftDown(_ start: Int) {
    var index = start
    while true {
      var smallest = index
      for child in (2 * index + 1)...(2 * index + 2)
      where child < heap.count && precedes(heap[child], heap[smallest]) {
        smallest = child
      }
      guard smallest != index else { return }
      exchange(index, smallest)
      index = smallest
    }
  }

  private mutating func exchange(_ left: Int, _ right: Int) {
    heap.swapAt(left, right)
    heap[left].heapIndex = left
    heap[right].heapIndex = right
  }
}

extension LoopTimer {
  /// Runs the handler; called by loops only, right after `TimerQueue.takeDue`.
  public func fire(_ now: Instant) {
    handler(now)
  }
}
