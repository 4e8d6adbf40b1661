/// What every client mode needs: where to connect, the patience for it, and the byte sequences.
final class Client: Sendable {
  /// The near end of the tunnel, or the server itself for a run without one.
  let address: Address
  /// How long one connect, send or receive may take without any progress.
  let timeoutSeconds: Int
  /// Shared with all connections.
  let pattern = Pattern()
  private let firstKey: UInt64

  init(address: Address, timeoutSeconds: Int) {
    self.address = address
    self.timeoutSeconds = timeoutSeconds
    // Keys of different runs must differ, since one server may still hold flows of the run before.
    firstKey = Clock.nanoseconds() & 0xFFFF_FFFF << 20
  }

  /// The key of this run's connection with the given number.
  func key(_ number: Int) -> UInt64 { firstKey &+ UInt64(number) }

  /// Connects without a request yet.
  func connect() throws(LoadError) -> Socket {
    try Socket.connect(to: address, timeoutSeconds: timeoutSeconds)
  }

  /// Opens a connection on which the server sends `bytes` bytes.
  func download(bytes: Int, number: Int) throws(LoadError) -> Download {
    let socket = try connect()
    try socket.send(line: Request.source(bytes: bytes, key: key(number)).line)
    return Download(
      socket: socket, bytes: bytes, cursor: pattern.cursor(key: key(number), direction: .down))
  }

  /// Opens a connection on which the server returns everything.
  func echo(number: Int) throws(LoadError) -> EchoFlow {
    let socket = try connect()
    try socket.send(line: Request.echo.line)
    return EchoFlow(socket: socket, cursor: pattern.cursor(key: key(number), direction: .up))
  }
}
