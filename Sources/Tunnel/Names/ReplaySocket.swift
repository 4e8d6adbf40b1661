internal import QuicTransport

/// A connection of which the first bytes were read to look at them: they come first again.
final class ReplaySocket: StreamSocket {
  private let socket: any StreamSocket
  private var bytes: ArraySlice<UInt8>

  var handler: (any StreamSocketHandler)? {
    get { socket.handler }
    set { socket.handler = newValue }
  }

  init(_ socket: any StreamSocket, bytes: [UInt8]) {
    self.socket = socket
    self.bytes = bytes[...]
  }

  func read(into buffer: UnsafeMutableRawBufferPointer) -> StreamSocketResult {
    guard !bytes.isEmpty else { return socket.read(into: buffer) }
    let part = bytes.prefix(buffer.count)
    buffer.copyBytes(from: part)
    bytes = bytes.dropFirst(part.count)
    guard bytes.isEmpty, part.count < buffer.count else { return .moved(part.count) }
    // A short read says that there is no more for now, so what the socket has comes along.
    let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[part.count...])
    guard case .moved(let count) = socket.read(into: rest) else { return .moved(part.count) }
    return .moved(part.count + count)
  }

  func write(_ pieces: UnsafeBufferPointer<UnsafeRawBufferPointer>) -> StreamSocketResult {
    socket.write(pieces)
  }

  func finishWriting() {
    socket.finishWriting()
  }

  func close(resetting: Bool) {
    socket.close(resetting: resetting)
  }
}
