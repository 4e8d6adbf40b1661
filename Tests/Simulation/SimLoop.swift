import Glibc
public import QuicTransport
import Synchronization

/// An event loop in virtual time: it jumps from one timer to the next, so that hours pass in
/// milliseconds and every run of a seed is the same.
///
/// It is the executor of all actors and tasks pinned to it, and runs on the thread that calls one
/// of the `run` functions. Between these calls the test itself may use what lives on the loop.
///
/// `@unchecked Sendable`: jobs and the runner's identity are behind a mutex and an atomic; all other
/// state belongs to the test that owns the loop.
public final class SimLoop: EventLoop, @unchecked Sendable {
  /// Where the clock starts: far from zero, so that arithmetic below zero shows.
  public static let start = Instant(nanoseconds: 1_000_000_000_000)

  public private(set) var now = SimLoop.start
  private let jobs = Lock<[UnownedJob]>([])
  private let mail = Lock<[any LoopMail]>([])
  private let runner = Atomic<UInt>(0)
  private var timers = TimerQueue()
  private var flushes: [any TickMember] = []
  /// So many times something happened: as often would real processes have been woken.
  public private(set) var wakeCount = 0
  /// Ticks since the clock last moved.
  private var ticksAtNow = 0

  public init() {}

  /// How many timers are armed.
  public var timerCount: Int { timers.count }

  /// Virtual time since the start.
  public var elapsed: Duration { now - Self.start }

  // MARK: Running

  /// Does everything that happens up to `deadline`; the clock then stands there.
  public func run(until deadline: Instant) {
    asRunner {
      while step(limit: deadline) {}
      if now < deadline { moveClock(to: deadline) }
    }
  }

  /// Does everything that happens in the next `duration`.
  public func run(for duration: Duration) {
    run(until: now + duration)
  }

  /// Runs until `condition` holds, looked at after every tick; false when `duration` passed first.
  public func run(for duration: Duration, until condition: () -> Bool) -> Bool {
    let deadline = now + duration
    return asRunner {
      while !condition() {
        guard step(limit: deadline) else {
          if now < deadline { moveClock(to: deadline) }
          return condition()
        }
      }
      return true
    }
  }

  /// Runs until nothing is left: no job, no timer. False when that did not happen within `limit`.
  public func runUntilIdle(within limit: Duration) -> Bool {
    let deadline = now + limit
    return asRunner {
      while step(limit: deadline) {}
      return timers.earliest == nil
    }
  }

  /// Runs `body` as a task on this loop until it returns; nil when `duration` passed first.
  public func run<Result: Sendable>(
    for duration: Duration, _ body: @escaping @Sendable () async throws -> Result
  ) throws -> Result? {
    let outcome = Outcome<Result>()
    let task = Task(executorPreference: self) {
      do {
        outcome.set(.success(try await body()))
      } catch {
        outcome.set(.failure(error))
      }
    }
    guard run(for: duration, until: { outcome.value != nil }) else {
      task.cancel()
      return nil
    }
    return try outcome.value?.get()
  }

  /// One tick, at the next instant that has something to do; false when there is none by `limit`.
  private func step(limit: Instant) -> Bool {
    if flushes.isEmpty, jobs.withLock(\.isEmpty), mail.withLock(\.isEmpty) {
      guard let earliest = timers.earliest, earliest <= limit else { return false }
      if earliest > now {
        moveClock(to: earliest)
        wakeCount += 1
      }
    }
    ticksAtNow += 1
    precondition(ticksAtNow < Self.ticksPerInstantMax, "the simulation spins without time passing")
    while let timer = timers.takeDue(now) {
      timer.fire(now)
    }
    let boxes = mail.withLock { boxes in
      defer { boxes = [] }
      return boxes
    }
    for box in boxes { box.deliver() }
    runJobs()
    let members = flushes
    flushes.removeAll(keepingCapacity: true)
    for member in members {
      member.endOfTick(now: now)
    }
    return true
  }

  private func runJobs() {
    while true {
      let batch = jobs.withLock { jobs in
        defer { jobs = [] }
        return jobs
      }
      if batch.isEmpty { return }
      for job in batch {
        job.runSynchronously(
          isolatedTo: asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
      }
    }
  }

  private func moveClock(to instant: Instant) {
    now = instant
    ticksAtNow = 0
  }

  private func asRunner<Result>(_ body: () throws -> Result) rethrows -> Result {
    let thread = UInt(pthread_self())
    let (exchanged, previous) = runner.compareExchange(
      expected: 0, desired: thread, ordering: .acquiringAndReleasing)
    precondition(
      exchanged, previous == thread ? "run is not reentrant" : "two threads run one loop")
    defer { runner.store(0, ordering: .releasing) }
    return try body()
  }

  /// More ticks than any honest chain of flushes at one instant.
  private static let ticksPerInstantMax = 100_000
}

// MARK: - Timers and flushes

extension SimLoop {
  public func schedule(_ timer: LoopTimer, at deadline: Instant) {
    timers.schedule(timer, at: deadline)
  }

  public func cancel(_ timer: LoopTimer) {
    timers.cancel(timer)
  }

  public func flushAtEndOfTick(_ member: any TickMember) {
    flushes.append(member)
  }

  public func post(_ mail: any LoopMail) {
    self.mail.withLock { $0.append(mail) }
  }

  /// Calls `body` once after `delay`.
  public func after(_ delay: Duration, _ body: @escaping () -> Void) {
    timers.schedule(LoopTimer { _ in body() }, at: now + delay)
  }
}

// MARK: - Executor

extension SimLoop {
  public func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    jobs.withLock { $0.append(job) }
  }

  public func asUnownedSerialExecutor() -> UnownedSerialExecutor {
    UnownedSerialExecutor(ordinary: self)
  }

  public func asUnownedTaskExecutor() -> UnownedTaskExecutor {
    UnownedTaskExecutor(ordinary: self)
  }

  /// While nobody runs the loop, its owner may touch what lives on it.
  public func isIsolatingCurrentContext() -> Bool? {
    let thread = runner.load(ordering: .acquiring)
    return thread == 0 || thread == UInt(pthread_self())
  }

  public func checkIsolated() {
    precondition(isIsolatingCurrentContext() == true, "another thread runs this loop")
  }
}

/// Where a task leaves its result for the loop that waits for it.
private final class Outcome<Value: Sendable>: Sendable {
  private let state = Lock<Result<Value, any Error>?>(nil)

  var value: Result<Value, any Error>? { state.withLock { $0 } }

  func set(_ result: Result<Value, any Error>) {
    state.withLock { $0 = result }
  }
}
