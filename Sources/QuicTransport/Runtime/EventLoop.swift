/// One thread's worth of work: timers, jobs and the end-of-tick flush.
///
/// There are two: `EpollLoop` waits on Linux descriptors, and the tests' `SimLoop` jumps from
/// event to event in virtual time. Everything below the async API is plain synchronous code that
/// runs on a loop. All members except the executor's own are called on the loop.
///
///     tick:  receive -> timers -> mail, jobs -> endOfTick of every member that asked for it
public protocol EventLoop: SerialExecutor, TaskExecutor {
  /// The clock as read once at the start of this tick.
  var now: Instant { get }

  /// Arms `timer`, replacing an earlier deadline of it.
  func schedule(_ timer: LoopTimer, at deadline: Instant)

  /// Disarms `timer`; does nothing if it is not armed.
  func cancel(_ timer: LoopTimer)

  /// Calls `member` once at the end of this tick, after everything that arrived was handled.
  /// The caller makes sure that it asks only once a tick.
  func flushAtEndOfTick(_ member: any TickMember)

  /// Has `mail` deliver in the next tick, before jobs run. From any thread; a loop that has ended
  /// delivers nothing.
  nonisolated func post(_ mail: any LoopMail)
}

/// Something that gathers work during a tick and does it once at its end.
public protocol TickMember: AnyObject {
  /// Called on the loop. Asking for another flush from here means the next tick.
  func endOfTick(now: Instant)
}

/// A timer that its owner arms and disarms on an `EventLoop`; it fires once per arming.
public final class LoopTimer {
  let handler: (Instant) -> Void
  /// Position in the queue's heap, or -1 while disarmed.
  var heapIndex = -1
  /// Meaningful while armed.
  public internal(set) var deadline = Instant.distantFuture
  /// Order of arming; ties fire in this order, which keeps simulations deterministic.
  var sequence: UInt64 = 0

  /// - Parameter handler: called on the loop with the tick's `now`. Capture the owner weakly.
  public init(_ handler: @escaping (Instant) -> Void) {
    self.handler = handler
  }

  /// Whether it is going to fire.
  public var isArmed: Bool { heapIndex >= 0 }
}
