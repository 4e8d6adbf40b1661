/// A connection in `echo` mode; every message is the next part of the connection's sequence.
final class EchoFlow {
  private let socket: Socket
  private var sent: PatternCursor
  private var received: PatternCursor

  init(socket: Socket, cursor: PatternCursor) {
    self.socket = socket
    sent = cursor
    received = cursor
  }

  /// Sends a message without waiting for its return.
  func send(size: Int) throws(LoadError) {
    try socket.send(sent.pointer, count: size)
    sent.advance(by: size)
  }

  /// Waits for a message of this size to come back and checks it.
  func receive(size: Int, buffer: UnsafeMutableRawPointer) throws(LoadError) {
    try socket.receive(into: buffer, count: size)
    try received.check(buffer, count: size)
  }
}
