internal import QuicTransport

/// The connection to a target, with somebody who looks at the HTTP requests that pass.
///
/// Nothing is copied, delayed or changed: what the target took, and what it sent, is shown as it lies in
/// the memory of its way.
final class WatchedSocket: StreamSocket {
  private let socket: any StreamSocket
  private let loop: any EventLoop
  private var watcher: RequestWatcher

  var handler: (any StreamSocketHandler)? {
    get { socket.handler }
    set { socket.handler = newValue }
  }

  /// - Parameter socket: connected; requests go into it and answers come out.
  init(_ socket: any StreamSocket, watcher: RequestWatcher, loop: any EventLoop) {
    self.socket = socket
    self.watcher = watcher
    self.loop = loop
  }

  func read(into buffer: UnsafeMutableRawBufferPointer) -> StreamSocketResult {
    let result = socket.read(into: buffer)
    guard watcher.isWatching else { return result }
    switch result {
    case .moved(let count):
      watcher.sawAnswers(UnsafeRawBufferPointer(rebasing: buffer[..<count]), now: loop.now)
    case .ended: watcher.sawEndOfAnswers(now: loop.now)
    case .blocked, .failed: break
    }
    return result
  }

  func write(_ pieces: UnsafeBufferPointer<UnsafeRawBufferPointer>) -> StreamSocketResult {
    let result = socket.write(pieces)
    guard watcher.isWatching, case .moved(var left) = result else { return result }
    for piece in pieces where left > 0 {
      let part = UnsafeRawBufferPointer(rebasing: piece.prefix(left))
      watcher.sawRequests(part, now: loop.now)
      left -= part.count
    }
    return result
  }

  func finishWriting() {
    socket.finishWriting()
  }

  func close(resetting: Bool) {
    watcher.end(now: loop.now)
    socket.close(resetting: resetting)
  }
}
