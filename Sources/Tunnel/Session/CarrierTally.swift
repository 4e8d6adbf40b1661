internal import QuicTransport

/// Bytes of a session by what carried them: everything between two moves belongs to the carrier in
/// use.
struct CarrierTally {
  private var current: CarrierKind
  private var counted = ConnectionStatistics()
  private var sums: [CarrierKind: CarrierBytes] = [:]

  init(startingOn kind: CarrierKind) {
    current = kind
  }

  /// The session moves to a carrier of this kind.
  mutating func move(to kind: CarrierKind, statistics: ConnectionStatistics) {
    sums = totals(statistics)
    counted = statistics
    current = kind
  }

  /// What each kind that was used has carried so far.
  func totals(_ statistics: ConnectionStatistics) -> [CarrierKind: CarrierBytes] {
    var sums = sums
    var bytes = sums[current] ?? CarrierBytes()
    bytes.sent += statistics.bytesSent - counted.bytesSent
    bytes.received += statistics.bytesReceived - counted.bytesReceived
    sums[current] = bytes
    return sums
  }
}
