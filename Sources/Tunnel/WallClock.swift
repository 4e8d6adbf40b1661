internal import Glibc

/// The system's time of day, for what is dated: grants, tokens, leases. It may be wrong, and jump;
/// what lasts is measured by the loop's clock.
enum WallClock {
  /// Seconds since 1970.
  static func now() -> UInt64 { UInt64(max(0, time(nil))) }
}
