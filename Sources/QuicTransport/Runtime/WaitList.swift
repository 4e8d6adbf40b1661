/// Tasks that wait for something to change, woken together; each then looks again.
///
/// It stands between the synchronous cores and the async API, and is the reason why a cancelled
/// task stops waiting at once, from whatever thread it was cancelled.
final class WaitList: Sendable {
  private struct State {
    var nextID: UInt64 = 0
    var wakeCount: UInt64 = 0
    var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
    /// Cancelled before they began to wait.
    var cancelled: Set<UInt64> = []
  }

  private let state = Lock(State())

  /// Waits on the caller's actor until `wakeAll`, or until the task is cancelled. Between the
  /// caller's look at its condition and the wait nothing else runs there.
  func wait(isolation: isolated (any Actor)? = #isolation) async {
    let (id, wakeCount) = state.withLock { state in
      state.nextID += 1
      return (state.nextID, state.wakeCount)
    }
    await withTaskCancellationHandler {
      // A closure is isolated to a parameter that it captures, and to none else (SE-0420). Without
      // it a task that does not prefer the loop would go to the global executor from here.
      _ = isolation
      await withCheckedContinuation { continuation in
        let isOver = state.withLock { state in
          // Woken on the way here, should there be one after all.
          guard state.cancelled.remove(id) == nil, state.wakeCount == wakeCount else { return true }
          state.waiters[id] = continuation
          return false
        }
        if isOver { continuation.resume() }
      }
    } onCancel: {
      cancel(id)
    }
    // A cancellation that came after the wake-up left its mark behind.
    state.withLock { _ = $0.cancelled.remove(id) }
  }

  func wakeAll() {
    let waiters = state.withLock { state in
      state.wakeCount += 1
      defer { state.waiters.removeAll() }
      return state.waiters.values
    }
    for waiter in waiters { waiter.resume() }
  }

  private func cancel(_ id: UInt64) {
    let waiter = state.withLock { state in
      let waiter = state.waiters.removeValue(forKey: id)
      if waiter == nil { state.cancelled.insert(id) }
      return waiter
    }
    waiter?.resume()
  }
}
