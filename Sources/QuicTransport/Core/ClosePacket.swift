/// The last packet of a closed connection, for peers that have not heard it yet.
///
/// It answers the 1st, 2nd, 4th, 8th ... packet that still arrives (RFC 9000 §10.2.1 asks for a
/// limit), so that two closing peers do not keep each other busy. A peer of our own may be idle, and
/// would send nothing that could be answered before the closing period is over: to such a one it is
/// repeated.
final class ClosePacket {
  let bytes: [UInt8]
  /// Where the peer was when the connection was closed: a road, not a label.
  let path: NetworkPath
  /// The mark that belongs to it, as for any packet of a path that takes marks (RFC 9000 §13.4.2).
  let ecn: ECN
  private var arrivals: UInt64 = 0
  private var repeats: ArraySlice<Instant>
  /// Where it was to go when the socket was full.
  var waitingFor: NetworkPath?

  /// - Parameter repeats: when it is said again, unasked; the earliest first.
  init(bytes: [UInt8], path: NetworkPath, ecn: ECN, repeats: [Instant]) {
    self.bytes = bytes
    self.path = path
    self.ecn = ecn
    self.repeats = repeats[...]
  }

  /// Counts an arrival of so many bytes; true when it deserves an answer.
  func shouldAnswer(_ count: Int) -> Bool {
    arrivals += 1
    // RFC 9000 §10.2.1: the address may be forged, and is not sent more than three times as much.
    return arrivals & (arrivals - 1) == 0 && bytes.count <= 3 * count
  }

  /// When it is to be said again.
  var nextRepeat: Instant? { repeats.first }

  /// Whether it is to be said again now.
  func takeRepeat(now: Instant) -> Bool {
    guard let next = repeats.first, next <= now else { return false }
    repeats.removeFirst()
    return true
  }

  /// RFC 9000 §14: every path carries this much.
  static let sizeMax = 1_200
}
