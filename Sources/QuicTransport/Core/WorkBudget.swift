/// What the packets of one connection have cost in this turn of the loop, in units of about a quarter of
/// a microsecond.
///
/// Not a clock: the same packets cost the same in every run, and a process that was not scheduled for a
/// while blames nobody. A packet full of bytes of one or two streams costs nothing here, however many
/// there are: the socket's receive is the limit for those, and to hold them back would be to copy them.
struct WorkBudget {
  private(set) var spent = 0
  private var turn: UInt64 = 0

  /// Whether this turn may do more for the connection.
  mutating func allows(in turn: UInt64) -> Bool {
    if self.turn != turn {
      self.turn = turn
      spent = 0
    }
    return spent < Self.perTurn
  }

  /// A datagram of so many bytes came.
  @inline(__always)
  mutating func chargeDatagram(byteCount: Int) {
    spent += max(0, Self.datagram - min(byteCount / Self.bytesPerUnit, Self.datagram))
  }

  /// A packet of so many bytes was decrypted, and had frames of this much work.
  @inline(__always)
  mutating func chargeFrames(_ work: Int, byteCount: Int) {
    spent += max(0, work - min(byteCount / Self.bytesPerUnit, Self.framesForBytes))
  }

  /// The peer opened a stream: what is above has to set up a flow.
  mutating func chargeStream() {
    spent += Self.stream
  }

  /// A quarter of a millisecond: what everybody else waits for each who misbehaves. Less would make
  /// turns of mostly overhead, which is some 20 us each.
  static let perTurn = 1_000
  /// Decryption, bookkeeping and the acknowledgement of a packet: 3 us.
  private static let datagram = 12
  /// A stream's state in ngtcp2 and ours, and a flow that begins: 10 us.
  private static let stream = 40
  /// A datagram of 1200 bytes, what every path carries, is a full one.
  private static let bytesPerUnit = 96
  /// An acknowledgement and pieces of two streams, as honest bulk has them.
  private static let framesForBytes = 10
}
