internal import QuicTransport

/// One question to a router's web server over a connection of its own: bounded in bytes and time.
final class HTTPExchange: StreamSocketHandler {
  private let socket: any StreamSocket
  private let loop: any EventLoop
  private var unsent: ArraySlice<UInt8>
  private var response: [UInt8] = []
  private var isConnected = false
  private var timer: LoopTimer?
  private var completion: ((HTTPResponse?) -> Void)?

  /// - Parameters:
  ///   - socket: about to connect.
  ///   - completion: called once, on the loop, later; nil for a response that is none.
  init(
    _ request: [UInt8], over socket: any StreamSocket, loop: any EventLoop,
    completion: @escaping (HTTPResponse?) -> Void
  ) {
    self.socket = socket
    self.loop = loop
    self.completion = completion
    unsent = request[...]
    socket.handler = self
    let timer = LoopTimer { [weak self] _ in self?.finish(nil) }
    self.timer = timer
    loop.schedule(timer, at: loop.now + Self.patience)
  }

  /// Stops without a word.
  func cancel() {
    completion = nil
    finish(nil)
  }

  func streamSocketConnected() {
    isConnected = true
  }

  func streamSocketFailed(_ code: Int32) {
    finish(nil)
  }

  func streamSocketReady(_ readiness: Readiness) {
    guard isConnected, timer != nil else { return }
    write()
    read()
  }

  private func write() {
    while !unsent.isEmpty {
      let result = unsent.withUnsafeBytes { bytes in
        withUnsafeTemporaryAllocation(of: UnsafeRawBufferPointer.self, capacity: 1) { pieces in
          pieces[0] = bytes
          return socket.write(UnsafeBufferPointer(pieces))
        }
      }
      switch result {
      case .moved(let count): unsent = unsent.dropFirst(count)
      case .blocked: return
      case .ended, .failed: return finish(nil)
      }
    }
  }

  private func read() {
    withUnsafeTemporaryAllocation(byteCount: 4_096, alignment: 1) { buffer in
      while timer != nil {
        switch socket.read(into: buffer) {
        case .moved(let count):
          guard response.count + count <= Self.responseMax else { return finish(nil) }
          response.append(contentsOf: buffer[..<count])
        case .blocked: return judge(isAtEnd: false)
        case .ended: return judge(isAtEnd: true)
        case .failed: return finish(nil)
        }
      }
    }
  }

  private func judge(isAtEnd: Bool) {
    switch HTTPResponse.read(response, isAtEnd: isAtEnd) {
    case .incomplete: break
    case .complete(let response): finish(response)
    case .malformed: finish(nil)
    }
  }

  private func finish(_ response: HTTPResponse?) {
    guard let timer else { return }
    loop.cancel(timer)
    self.timer = nil
    socket.close(resetting: false)
    completion?(response)
    completion = nil
  }

  /// Descriptions of gateways have 3 to 20 kB.
  private static let responseMax = 65_536
  /// One hop away, and slow when it is an old one.
  private static let patience = Duration.seconds(2)
}
