public import QuicTransport

/// Counts datagrams with bad signatures, so that the user hears of them and no log fills.
///
/// One report at the first, then one every `interval` while more come.
public struct ForgeryTally: Sendable {
  /// What is told at once.
  public struct Report: Equatable, Sendable {
    /// How many came since the last report.
    public let count: UInt64
    /// Where the latest came from.
    public let source: SocketAddress
    /// Whether all came from that machine.
    public let isOneSource: Bool
  }

  /// Seldom enough to be read.
  public static let interval = Duration.seconds(10)

  private var count: UInt64 = 0
  private var first: SocketAddress?
  private var isOneSource = true
  private var silentUntil = Instant(nanoseconds: 0)

  /// Notes one; returns what is to be told now, if anything.
  mutating func note(_ source: SocketAddress, now: Instant) -> Report? {
    count += 1
    if let first {
      isOneSource = isOneSource && first.hasHost(of: source)
    } else {
      first = source
    }
    guard now >= silentUntil else { return nil }
    let report = Report(count: count, source: source, isOneSource: isOneSource)
    count = 0
    first = nil
    isOneSource = true
    silentUntil = now + Self.interval
    return report
  }
}
