internal import CNgtcp2
internal import Glibc
internal import Synchronization

/// The production event loop: one epoll descriptor on one thread, which is the executor of every
/// actor and task pinned to it.
///
/// Descriptors are registered edge-triggered for reading and writing at once, so that back-pressure
/// costs no `epoll_ctl`; a handler that stops early remembers that its descriptor is still ready.
///
/// `@unchecked Sendable`: jobs, mail and the thread's identity are behind mutexes and an atomic, all
/// other state is touched on the loop's thread only, which `precondition(isInLoop)` guards.
public final class EpollLoop: EventLoop, @unchecked Sendable {
  private let epoll: FileDescriptor
  private let wakeup: FileDescriptor
  private let threadID = Atomic<UInt>(0)
  private let remoteJobs = Lock<[UnownedJob]>([])
  private let remoteMail = Lock<[any LoopMail]>([])

  // Loop thread only, from here on.
  /// CLOCK_MONOTONIC as read when this tick began.
  public private(set) var now: Instant
  private var localJobs: [UnownedJob] = []
  private var jobBatch: [UnownedJob] = []
  private var timers = TimerQueue()
  private var flushes: [any TickMember] = []
  private var registrations: [Registration] = []
  private var freeSlots: [Int] = []
  private var isStopping = false
  /// Where the sockets of this loop receive, one at a time.
  private(set) lazy var receiveMemory = ReceiveMemory()

  /// - Throws: `RuntimeError.system` when the process has no descriptors left.
  public init() throws(RuntimeError) {
    epoll = try FileDescriptor(checking: epoll_create1(Int32(EPOLL_CLOEXEC)), "epoll_create1")
    wakeup = try FileDescriptor(
      checking: eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC)), "eventfd")
    now = Self.readClock()
    let result = qtun_epoll_add(epoll.raw, wakeup.raw, EPOLLIN.rawValue, Self.wakeupToken)
    if result < 0 { throw .system("epoll_ctl", -result) }
  }

  /// True on the thread that runs this loop.
  public var isInLoop: Bool {
    threadID.load(ordering: .relaxed) == UInt(pthread_self())
  }

  // MARK: Running

  /// Runs the loop on the calling thread until `stop()` is called on it.
  public func run() {
    precondition(threadID.load(ordering: .relaxed) == 0, "an EpollLoop runs once")
    threadID.store(UInt(pthread_self()), ordering: .relaxed)
    var events = [epoll_event](repeating: epoll_event(), count: Self.eventsPerTick)
    while !isStopping {
      tick(&events)
    }
    threadID.store(0, ordering: .relaxed)
  }

  /// Runs the loop on a thread of its own. It ends after `stop()`.
  public func start() throws(RuntimeError) {
    var thread = pthread_t()
    let argument = Unmanaged.passRetained(self).toOpaque()
    let error = pthread_create(
      &thread, nil,
      { argument in
        // SAFETY: balances the passRetained of start(); the thread owns that reference.
        Unmanaged<EpollLoop>.fromOpaque(argument.unsafelyUnwrapped).takeRetainedValue().run()
        return nil
      }, argument)
    if error != 0 {
      // SAFETY: no thread took the reference over.
      Unmanaged<EpollLoop>.fromOpaque(argument).release()
      throw .system("pthread_create", error)
    }
    pthread_detach(thread)
  }

  /// Ends `run()` after the current tick. Called on the loop.
  public func stop() {
    isStopping = true
  }

  private func tick(_ events: inout [epoll_event]) {
    let count = wait(&events)
    now = max(now, Self.readClock())
    for index in 0..<count {
      dispatch(events[index])
    }
    while let timer = timers.takeDue(now) {
      timer.fire(now)
    }
    deliverMail()
    runJobs()
    // Members may ask again while they are called: those wait for the next tick.
    let members = flushes
    flushes.removeAll(keepingCapacity: true)
    for member in members {
      member.endOfTick(now: now)
    }
  }

  private func wait(_ events: inout [epoll_event]) -> Int {
    var timeout = UInt64.max
    if !flushes.isEmpty || !localJobs.isEmpty {
      timeout = 0
    } else if let earliest = timers.earliest {
      timeout = (earliest - Self.readClock()).wholeNanoseconds
    }
    let count = qtun_epoll_wait(epoll.raw, &events, Int32(events.count), timeout)
    // EINTR is the only error that a valid descriptor and buffer leave.
    return max(0, Int(count))
  }

  private func dispatch(_ event: epoll_event) {
    let token = event.data.u64
    if token == Self.wakeupToken {
      var value: eventfd_t = 0
      eventfd_read(wakeup.raw, &value)
      return
    }
    let slot = Int(token >> 32)
    // A descriptor closed earlier in this tick may still have an event here.
    guard registrations[slot].generation == UInt32(truncatingIfNeeded: token),
      let handler = registrations[slot].handler
    else { return }
    handler.ready(Readiness(rawValue: event.events), now: now)
  }

  private func deliverMail() {
    let boxes = remoteMail.withLock { boxes -> [any LoopMail] in
      if boxes.isEmpty { return [] }
      defer { boxes = [] }
      return boxes
    }
    for box in boxes { box.deliver() }
  }

  private func runJobs() {
    remoteJobs.withLock { jobs in
      if !jobs.isEmpty { swap(&jobs, &jobBatch) }
    }
    localJobs.append(contentsOf: jobBatch)
    jobBatch.removeAll(keepingCapacity: true)
    // Jobs that jobs enqueue run in this tick too, bounded so that I/O is never starved.
    var budget = Self.jobsPerTick
    var next = 0
    while next < localJobs.count, budget > 0 {
      let job = localJobs[next]
      next += 1
      budget -= 1
      job.runSynchronously(
        isolatedTo: asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
    }
    localJobs.removeFirst(next)
  }

  private static func readClock() -> Instant {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Instant(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
  }

  private static let wakeupToken = UInt64.max
  /// Enough that a busy tick amortises its system call, small enough to stay in cache.
  private static let eventsPerTick = 256
  /// A runaway task cannot hold the loop longer than this many resumptions.
  private static let jobsPerTick = 10_000
}

// MARK: - Timers and flushes

extension EpollLoop {
  /// Arms `timer` or moves its deadline. On the loop.
  ///
  /// A deadline that has come already is for the next tick: a timer that arms itself again must
  /// not keep everything else waiting.
  public func schedule(_ timer: LoopTimer, at deadline: Instant) {
    timers.schedule(timer, at: max(deadline, now + .nanoseconds(1)))
  }

  /// Disarms `timer`. On the loop.
  public func cancel(_ timer: LoopTimer) {
    timers.cancel(timer)
  }

  /// Calls `member` at the end of this tick. On the loop.
  public func flushAtEndOfTick(_ member: any TickMember) {
    flushes.append(member)
  }
}

// MARK: - Mail

extension EpollLoop {
  /// Delivers `mail` in the next tick. From any thread, this one too.
  public func post(_ mail: any LoopMail) {
    let isFirst = remoteMail.withLock { boxes in
      boxes.append(mail)
      return boxes.count == 1
    }
    if isFirst { eventfd_write(wakeup.raw, 1) }
  }
}

// MARK: - Descriptors

extension EpollLoop {
  /// Watches `descriptor` until `unregister`; `handler` is held strongly until then.
  ///
  /// - Parameter edgeTriggered: reports each change once, for reading and writing; otherwise
  ///   readability is reported for as long as it lasts.
  public func register(
    _ descriptor: borrowing FileDescriptor, edgeTriggered: Bool, handler: any ReadinessHandler
  ) throws(RuntimeError) -> Registration.Token {
    let slot = freeSlots.popLast() ?? registrations.count
    if slot == registrations.count { registrations.append(Registration()) }
    registrations[slot].generation &+= 1
    let generation = registrations[slot].generation
    let token = UInt64(slot) << 32 | UInt64(generation)
    var events = EPOLLIN.rawValue
    if edgeTriggered { events |= EPOLLOUT.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue }
    let result = qtun_epoll_add(epoll.raw, descriptor.raw, events, token)
    if result < 0 {
      freeSlots.append(slot)
      throw .system("epoll_ctl", -result)
    }
    registrations[slot].handler = handler
    return Registration.Token(slot: slot, generation: generation)
  }

  /// Stops watching. Call it before the descriptor is closed; the kernel forgets it on close.
  public func unregister(_ token: Registration.Token) {
    guard registrations[token.slot].generation == token.generation else { return }
    registrations[token.slot].generation &+= 1
    registrations[token.slot].handler = nil
    freeSlots.append(token.slot)
  }
}

/// Who is told about one descriptor; its generation tells a stale event from a fresh one.
public struct Registration {
  var generation: UInt32 = 0
  var handler: (any ReadinessHandler)?

  /// Names one registration of one loop.
  public struct Token: Sendable {
    let slot: Int
    let generation: UInt32
  }
}

// MARK: - Executor

extension EpollLoop {
  /// Takes a job from any thread; wakes the loop if it comes from another.
  public func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    if isInLoop {
      localJobs.append(job)
      return
    }
    let isFirst = remoteJobs.withLock { jobs in
      jobs.append(job)
      return jobs.count == 1
    }
    if isFirst { eventfd_write(wakeup.raw, 1) }
  }

  /// This loop, as actors name their executor.
  public func asUnownedSerialExecutor() -> UnownedSerialExecutor {
    UnownedSerialExecutor(ordinary: self)
  }

  /// This loop, as tasks name their executor.
  public func asUnownedTaskExecutor() -> UnownedTaskExecutor {
    UnownedTaskExecutor(ordinary: self)
  }

  /// True on the loop's thread: descriptor handlers may then assume an actor's isolation.
  public func isIsolatingCurrentContext() -> Bool? { isInLoop }

  /// Traps on any other thread.
  public func checkIsolated() {
    precondition(isInLoop, "this code runs on its event loop only")
  }
}
