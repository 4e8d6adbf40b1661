/// A connected byte stream outside of QUIC: TCP, or a simulated one in tests.
///
/// Calls never block. After `.blocked` the handler is told when it is worth trying again.
public protocol StreamSocket: AnyObject {
  /// Told of readiness; set by whoever takes the socket over.
  var handler: (any StreamSocketHandler)? { get set }

  func read(into buffer: UnsafeMutableRawBufferPointer) -> StreamSocketResult

  /// Writes from several pieces, in order.
  func write(_ pieces: UnsafeBufferPointer<UnsafeRawBufferPointer>) -> StreamSocketResult

  /// Sends FIN; reading goes on.
  func finishWriting()

  /// Closes at once; unsent bytes are discarded when `resetting` (the peer sees RST).
  func close(resetting: Bool)
}

extension StreamSocket {
  /// Writes from one piece.
  public func write(_ piece: UnsafeRawBufferPointer) -> StreamSocketResult {
    withUnsafePointer(to: piece) { write(UnsafeBufferPointer(start: $0, count: 1)) }
  }
}

/// What a read or write did.
public enum StreamSocketResult: Equatable, Sendable {
  /// This many bytes moved, at least one.
  case moved(Int)
  /// Nothing for now.
  case blocked
  /// The peer sent FIN and everything before it was read.
  case ended
  /// The connection is gone, with this `errno`.
  case failed(Int32)
}

/// The owner of a `StreamSocket`. Called on the loop.
public protocol StreamSocketHandler: AnyObject {
  /// A connect that was under way succeeded.
  func streamSocketConnected()
  /// A connect that was under way failed, with this `errno`. Nothing more is said.
  func streamSocketFailed(_ code: Int32)
  /// Reading or writing may go on, or the socket failed, which the next call tells.
  func streamSocketReady(_ readiness: Readiness)
}
