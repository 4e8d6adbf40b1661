import Glibc

/// The seeds that randomized tests run with. Pass `Seeds.all` as a test's arguments: a failure then
/// names the seed, and `QTUN_SEED` repeats it alone.
public enum Seeds {
  /// `QTUN_SEED=n` gives that one, `QTUN_SEEDS=count` gives 1...count, nothing gives five.
  public static let all: [UInt64] = {
    if let seed = number("QTUN_SEED") { return [seed] }
    return Array(1...max(1, number("QTUN_SEEDS") ?? 5))
  }()

  /// The first `count` of them, for tests that are expensive.
  public static func first(_ count: Int) -> [UInt64] {
    Array(all.prefix(count))
  }

  private static func number(_ variable: String) -> UInt64? {
    getenv(variable).flatMap { UInt64(String(cString: $0)) }
  }
}
