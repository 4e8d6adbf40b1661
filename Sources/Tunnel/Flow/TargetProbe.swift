internal import Glibc
internal import QuicTransport

/// Finds out whether anything accepts connections at a target, by connecting once.
final class TargetProbe: StreamSocketHandler {
  private var addresses: ArraySlice<StreamAddress>
  private let loop: any EventLoop
  private let connect: IncomingFlow.Connect
  private var socket: (any StreamSocket)?
  private var timer: LoopTimer?
  private var completion: ((Int32) -> Void)?

  init(addresses: [StreamAddress], loop: any EventLoop, connect: @escaping IncomingFlow.Connect) {
    self.addresses = addresses[...]
    self.loop = loop
    self.connect = connect
  }

  /// Calls `completion` once with 0, or the `errno` of the last address.
  func run(_ completion: @escaping (Int32) -> Void) {
    self.completion = completion
    // The timer keeps this object until it ends.
    let timer = LoopTimer { _ in self.finish(ETIMEDOUT) }
    self.timer = timer
    loop.schedule(timer, at: loop.now + Self.timeout)
    tryNext(ECONNREFUSED)
  }

  func streamSocketConnected() {
    finish(0)
  }

  func streamSocketFailed(_ code: Int32) {
    socket?.close(resetting: false)
    tryNext(code)
  }

  func streamSocketReady(_ readiness: Readiness) {}

  private func tryNext(_ lastError: Int32) {
    guard let address = addresses.popFirst() else { return finish(lastError) }
    do throws(RuntimeError) {
      let socket = try connect(address)
      socket.handler = self
      self.socket = socket
    } catch {
      tryNext(error.code)
    }
  }

  private func finish(_ code: Int32) {
    if let timer { loop.cancel(timer) }
    timer = nil
    socket?.close(resetting: false)
    socket = nil
    completion?(code)
    completion = nil
  }

  private static let timeout = Duration.seconds(3)
}
