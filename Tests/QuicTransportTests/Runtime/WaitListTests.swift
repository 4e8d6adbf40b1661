import Testing

@testable import QuicTransport

/// Waiting on an actor, for tasks that prefer no executor: any task of a program that uses the library.
@Suite("Wait lists")
struct WaitListTests {
  @Test("a task begins to wait without leaving its actor")
  func staysOnItsActor() async {
    let steps = StepExecutor()
    let waiting = Task.detached { await Waiting(steps).look() }
    // Then it has come as far as it can without leaving the actor, which is to the wait.
    await steps.runNext { steps.list.wakeAll() }
    #expect(await steps.runNext(), "woken while it began to wait, it still waits")
    waiting.cancel()
    await steps.drain(until: waiting)
  }

  @Test("a task that is cancelled waits no longer")
  func cancelled() async {
    let steps = StepExecutor()
    let waiting = Task.detached { await Waiting(steps).look() }
    await steps.runNext()
    waiting.cancel()
    #expect(await steps.runNext())
    await steps.drain(until: waiting)
  }
}

/// Looks at nothing and waits, which is the shape of every reader.
private actor Waiting {
  private let steps: StepExecutor
  nonisolated var unownedExecutor: UnownedSerialExecutor { steps.asUnownedSerialExecutor() }

  init(_ steps: StepExecutor) {
    self.steps = steps
  }

  func look() async {
    await steps.list.wait()
  }
}

/// Runs one job when it is told to.
private final class StepExecutor: SerialExecutor {
  let list = WaitList()
  private let jobs = Lock<[UnownedJob]>([])

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    jobs.withLock { $0.append(job) }
  }

  /// Waits a while for a job, runs it and then, at once, `after`; false when none came.
  @discardableResult func runNext(_ after: () -> Void = {}) async -> Bool {
    for _ in 0..<Self.looks {
      if let job = jobs.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) {
        job.runSynchronously(on: asUnownedSerialExecutor())
        after()
        return true
      }
      try? await Task.sleep(for: .milliseconds(1))
    }
    return false
  }

  /// Runs jobs until the task is over.
  func drain(until task: Task<Void, Never>) async {
    let ran = Task { while !Task.isCancelled { await runNext() } }
    await task.value
    ran.cancel()
    await ran.value
  }

  private static let looks = 1_000
}
