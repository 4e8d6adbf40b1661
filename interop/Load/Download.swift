/// A connection with a running `source`; used by one thread at a time.
final class Download {
  /// The connection, for its ports and for aborting it.
  let socket: Socket
  private let bytes: Int
  private var cursor: PatternCursor
  private let buffer: UnsafeMutableRawPointer

  init(socket: Socket, bytes: Int, cursor: PatternCursor) {
    self.socket = socket
    self.bytes = bytes
    self.cursor = cursor
    buffer = .allocate(byteCount: Pattern.chunkBytesMax, alignment: 64)
  }

  deinit { buffer.deallocate() }

  /// How many bytes were read and found right.
  var position: Int { cursor.position }

  /// Reads and checks what is there, at most `max` bytes; returns 0 at the proper end only.
  func readSome(max: Int = Pattern.chunkBytesMax) throws(LoadError) -> Int {
    let count = try socket.receive(into: buffer, max: min(max, Pattern.chunkBytesMax))
    guard count > 0 else {
      guard position == bytes else { throw .closed("\(position) of \(bytes) bytes received") }
      return 0
    }
    guard position + count <= bytes else { throw .wrongByte(position: bytes) }
    try cursor.check(buffer, count: count)
    return count
  }

  /// Reads until the given position; throws when the stream ends before it.
  func read(until end: Int) throws(LoadError) {
    while position < end {
      guard try readSome(max: end - position) > 0 else { throw .closed("stream ended early") }
    }
  }

  /// Reads to the end of the stream.
  func readToEnd() throws(LoadError) {
    while try readSome() > 0 {}
  }
}
