/// Whether a datagram or a stream goes into the packet next, where both wait.
///
/// Datagrams go first as long as they take less than half: they are sent by those who cannot wait.
/// Beyond that they take turns with the streams, byte for byte, so that neither starves the other.
struct DatagramTurns {
  /// Bytes of datagrams beyond those of streams, counted while both wait.
  private var lead = 0

  /// Whether it is the datagrams' turn, with streams waiting too.
  var isDatagramNext: Bool { lead < Self.leadMax }

  /// - Parameter streamsWait: without them there is nobody to get ahead of.
  mutating func sentDatagram(_ count: Int, streamsWait: Bool) {
    if streamsWait { lead += count }
  }

  mutating func sentStream(_ count: Int) {
    lead = max(0, lead - count)
  }

  /// A burst that a keystroke may have to wait for: 1.3 ms at 100 Mbit/s.
  private static let leadMax = 16 * 1024
}
