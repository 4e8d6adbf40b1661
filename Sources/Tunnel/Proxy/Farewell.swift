internal import QuicTransport

/// Says the last words to a local program and closes its connection so that it can read them: a
/// socket that is closed with bytes unread sends RST, which may overtake what was written
/// (RFC 9112 §9.6).
final class Farewell: StreamSocketHandler {
  private let socket: any StreamSocket
  private let loop: any EventLoop
  private var timer: LoopTimer?
  private var bytesLeft = Farewell.bytesMax

  /// Takes the socket over.
  static func say(_ words: [UInt8], to socket: any StreamSocket, loop: any EventLoop) {
    guard socket.accepts(words) else { return socket.close(resetting: true) }
    socket.finishWriting()
    Farewell(socket, loop).start()
  }

  private init(_ socket: any StreamSocket, _ loop: any EventLoop) {
    self.socket = socket
    self.loop = loop
  }

  private func start() {
    socket.handler = self
    // The timer keeps this object until it ends.
    let timer = LoopTimer { _ in self.end() }
    self.timer = timer
    loop.schedule(timer, at: loop.now + Self.timeout)
    drain()
  }

  private func drain() {
    withUnsafeTemporaryAllocation(byteCount: 4_096, alignment: 1) { buffer in
      while timer != nil {
        switch socket.read(into: buffer) {
        case .moved(let count):
          bytesLeft -= count
          if bytesLeft <= 0 { end() }
        case .blocked: return
        case .ended, .failed: end()
        }
      }
    }
  }

  private func end() {
    guard let timer else { return }
    loop.cancel(timer)
    self.timer = nil
    socket.close(resetting: false)
  }

  func streamSocketConnected() {}

  func streamSocketFailed(_ code: Int32) {
    end()
  }

  func streamSocketReady(_ readiness: Readiness) {
    drain()
  }

  /// Enough for the rest of any request that we would read.
  private static let bytesMax = 256 * 1024
  private static let timeout = Duration.seconds(2)
}
