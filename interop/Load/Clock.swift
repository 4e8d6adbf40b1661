import Glibc

/// The two clocks of the instrument: time that passes and time that this process burns.
enum Clock {
  /// Monotonic time in nanoseconds; only differences mean anything.
  static func nanoseconds() -> UInt64 { read(CLOCK_MONOTONIC) }

  /// Seconds since an earlier `nanoseconds()`.
  static func seconds(since start: UInt64) -> Double {
    Double(nanoseconds() - start) / 1e9
  }

  /// Processor seconds of all threads of this process: what the instrument itself costs.
  static func processorSeconds() -> Double { Double(read(CLOCK_PROCESS_CPUTIME_ID)) / 1e9 }

  /// Blocks the calling thread for the given time.
  static func sleep(seconds: Double) {
    let span = timespec(
      tv_sec: Int(seconds), tv_nsec: Int((seconds - seconds.rounded(.down)) * 1e9))
    // No signal handler exists in this process, so the sleep is never cut short.
    withUnsafePointer(to: span) { _ = nanosleep($0, nil) }
  }

  private static func read(_ clock: clockid_t) -> UInt64 {
    var now = timespec()
    clock_gettime(clock, &now)
    return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
  }
}
