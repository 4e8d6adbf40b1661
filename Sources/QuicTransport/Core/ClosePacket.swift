/// The last packet of a closed connection, for peers that have not heard it yet.
///
/// It answers the 1st, 2nd, 4th, 8th ... packet that still arrives (RFC 9000 §10.2.1 asks for a
/// limit), so that two closing peers do not keep each other busy.
final class ClosePacket {
  let bytes: [UInt8]
  let path: NetworkPath
  /// The mark that belongs to it, as for any packet of a path that takes marks (RFC 9000 §13.4.2).
  let ecn: ECN
  private var arrivals: UInt64 = 0
  /// It was to leave when the socket was full.
  var waits = false

  init(bytes: [UInt8], path: NetworkPath, ecn: ECN) {
    self.bytes = bytes
    self.path = path
    self.ecn = ecn
  }

  /// Counts an arrival; true when it deserves an answer.
  func shouldAnswer() -> Bool {
    arrivals += 1
    return arrivals & (arrivals - 1) == 0
  }

  /// RFC 9000 §14: every path carries this much.
  static let sizeMax = 1_200
}
