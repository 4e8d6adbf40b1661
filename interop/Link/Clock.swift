import Glibc

/// Monotonic time in nanoseconds; only differences mean anything.
enum Clock {
  /// Read once per turn of the loop and handed down.
  static func now() -> UInt64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
  }
}
