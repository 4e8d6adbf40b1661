/// Holds back log lines that repeat, so that a stranger who causes them cannot fill a disk.
///
/// A pure state machine: the time comes in with each question, as an offset from any fixed moment.
struct RateCap {
  /// In which span of time `LogLevel.burstMax` lines with the same message pass.
  static let window = Duration.seconds(10)
  /// How many messages are remembered; a message is a literal, so there are not many more.
  static let messagesMax = 128

  private var entries: [String: Entry] = [:]

  /// Creates a cap that remembers nothing.
  init() {}

  /// Whether a line passes, and how many lines like it were held back before it.
  mutating func admit(_ message: String, level: LogLevel, now: Duration) -> Verdict {
    if var entry = entries[message] {
      guard now - entry.start < Self.window else {
        entries[message] = Entry(start: now, passed: 1, heldBack: 0)
        return .pass(suppressed: entry.heldBack)
      }
      guard entry.passed < level.burstMax else {
        entry.heldBack += 1
        entries[message] = entry
        return .holdBack
      }
      entry.passed += 1
      entries[message] = entry
      return .pass(suppressed: 0)
    }
    if entries.count >= Self.messagesMax { forgetOldest() }
    entries[message] = Entry(start: now, passed: 1, heldBack: 0)
    return .pass(suppressed: 0)
  }

  /// Takes the counts that no later line has reported, in the order of the messages.
  mutating func takeUnreported() -> [(message: String, suppressed: Int64)] {
    let unreported = entries.filter { $0.value.heldBack > 0 }
    for message in unreported.keys { entries[message]?.heldBack = 0 }
    return unreported.map { ($0.key, $0.value.heldBack) }.sorted { $0.0 < $1.0 }
  }

  private mutating func forgetOldest() {
    if let oldest = entries.min(by: { $0.value.start < $1.value.start }) {
      entries[oldest.key] = nil
    }
  }

  /// The answer to one line.
  enum Verdict: Equatable {
    /// Write it, and say how many were held back since the last one.
    case pass(suppressed: Int64)
    /// Do not write it.
    case holdBack
  }

  private struct Entry {
    var start: Duration
    var passed: Int
    var heldBack: Int64
  }
}
