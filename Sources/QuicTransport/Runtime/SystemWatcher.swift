internal import CNgtcp2
internal import Glibc

/// What happened to the machine that makes it worth looking at the network at once.
public enum SystemChange: Equatable, Sendable {
  /// Addresses or routes changed.
  case network
  /// The machine slept and woke up.
  case wake
}

/// Tells of changes of the network (rtnetlink(7)) and of the end of a sleep. One per loop is enough.
///
///     netlink message ----------------> wait 100 ms for more -> changed(.network)
///     clock cancelled (timerfd) -> BOOTTIME ran ahead of MONOTONIC -> changed(.wake)
///
/// While nothing happens it costs nothing: no timer runs.
public final class SystemWatcher {
  private let loop: EpollLoop
  private let changed: (SystemChange) -> Void
  private var watches: [DescriptorWatch] = []
  private var debounce: LoopTimer?
  private var asleep: Duration

  /// Begins to watch. Call on the loop; ends with `close`.
  ///
  /// - Parameter changed: called on the loop.
  /// - Throws: `RuntimeError.system` where the kernel or a sandbox refuses; the caller then does
  ///   without.
  public init(
    loop: EpollLoop, changed: @escaping (SystemChange) -> Void
  ) throws(RuntimeError) {
    self.loop = loop
    self.changed = changed
    asleep = Self.timeAsleep()
    let network = qtun_route_watch()
    if network < 0 { throw .system("netlink", -network) }
    try watch(FileDescriptor(owning: network)) { [weak self] raw in
      if qtun_route_changed(raw) { self?.noteNetworkChange() }
    }
    let clock = qtun_clock_watch()
    if clock < 0 { throw .system("timerfd", -clock) }
    try watch(FileDescriptor(owning: clock)) { [weak self] raw in
      qtun_clock_rearm(raw)
      self?.noteClockChange(asleep: Self.timeAsleep())
    }
  }

  /// Stops; safe to call again.
  public func close() {
    for watch in watches { watch.stop() }
    watches.removeAll()
    if let debounce { loop.cancel(debounce) }
    debounce = nil
  }

  /// A change comes as a burst of messages: addresses, then routes.
  private func noteNetworkChange() {
    guard debounce == nil else { return }
    let timer = LoopTimer { [weak self] _ in
      self?.debounce = nil
      self?.changed(.network)
    }
    debounce = timer
    loop.schedule(timer, at: loop.now + Self.debounceTime)
  }

  /// Somebody set the clock, or the machine slept: only then the two clocks differ by more.
  func noteClockChange(asleep: Duration) {
    let slept = asleep - self.asleep
    self.asleep = asleep
    if slept >= Self.sleepMin { changed(.wake) }
  }

  private func watch(
    _ descriptor: consuming FileDescriptor, _ ready: @escaping (Int32) -> Void
  ) throws(RuntimeError) {
    watches.append(try DescriptorWatch(loop: loop, descriptor: descriptor, ready: ready))
  }

  /// How long the machine has slept since it started: CLOCK_MONOTONIC stands still meanwhile,
  /// CLOCK_BOOTTIME does not.
  private static func timeAsleep() -> Duration {
    clock(CLOCK_BOOTTIME) - clock(CLOCK_MONOTONIC)
  }

  private static func clock(_ id: Int32) -> Duration {
    var time = timespec()
    clock_gettime(id, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
  }

  /// Longer than what a burst takes, shorter than what a user notices.
  private static let debounceTime = Duration.milliseconds(100)
  /// Less is the time between two readings.
  private static let sleepMin = Duration.seconds(1)
}

/// Calls a closure while a descriptor is readable.
private final class DescriptorWatch: ReadinessHandler {
  private let loop: EpollLoop
  private let descriptor: FileDescriptor
  private let ready: (Int32) -> Void
  private var registration: Registration.Token?

  init(
    loop: EpollLoop, descriptor: consuming FileDescriptor, ready: @escaping (Int32) -> Void
  ) throws(RuntimeError) {
    self.loop = loop
    self.descriptor = descriptor
    self.ready = ready
    registration = try loop.register(self.descriptor, edgeTriggered: false, handler: self)
  }

  func ready(_ readiness: Readiness, now: Instant) {
    ready(descriptor.raw)
  }

  func stop() {
    if let registration { loop.unregister(registration) }
    registration = nil
  }
}
