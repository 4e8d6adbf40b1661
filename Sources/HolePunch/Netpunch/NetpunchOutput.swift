public import QuicTransport

/// What a netpunch machine wants done or known, in order.
public enum NetpunchOutput: Equatable, Sendable {
  /// Send these bytes, which carry this message.
  case send([UInt8], NetpunchMessage, to: SocketAddress)
  /// An authentic message arrived.
  case heard(NetpunchMessage, from: SocketAddress)
  /// Datagrams with a bad signature arrived; for one line, seldom.
  case forged(ForgeryTally.Report)
  /// A peer registered for a slot that another address holds.
  case contested(NetpunchSlot, holder: SocketAddress, claimant: SocketAddress)
  /// The secret cannot sign this message; see `NetpunchSigner.seal`.
  case unsealable(NetpunchMessage)
  /// A peer has asked for its partner for a while and heard nothing.
  case stillWaiting
  /// The hole is open: both sides hear each other at this address.
  case open(SocketAddress)
}

/// A netpunch node without sockets and clocks: bytes and time in, `NetpunchOutput` out.
public protocol NetpunchMachine {
  /// When `advance` is to be called next.
  var deadline: Instant { get }
  /// Takes a datagram.
  mutating func receive(
    _ datagram: UnsafeRawBufferPointer, from source: SocketAddress, now: Instant)
  /// Does what is due.
  mutating func advance(now: Instant)
  /// What came of it since the last call; to be taken after every call of the two above.
  mutating func takeOutputs() -> [NetpunchOutput]
}
