internal import Glibc
internal import QuicTransport

/// One check of a target: connects, asks where something is to be asked, and judges the answer's status.
///
/// Unlike a flow, it tries all addresses of the target within one time, so that a check never outlasts
/// its interval.
final class HealthProbe {
  private var addresses: ArraySlice<StreamAddress>
  private let question: [UInt8]
  private let loop: any EventLoop
  private let connect: IncomingFlow.Connect
  private var socket: (any StreamSocket)?
  private var unsent: ArraySlice<UInt8>
  private var answer: [UInt8] = []
  private var timer: LoopTimer?
  private var completion: ((HealthProblem?) -> Void)?
  private var isConnected = false
  private let expectsAnswer: Bool

  /// - Parameter prologue: what a target hears before everything else (`ProxyProtocol`).
  init(
    addresses: [StreamAddress], prologue: [UInt8], check: HealthCheck, loop: any EventLoop,
    connect: @escaping IncomingFlow.Connect
  ) {
    self.addresses = addresses[...]
    self.loop = loop
    self.connect = connect
    switch check.question {
    case .tcp:
      expectsAnswer = false
      question = []
    case .http(let path):
      expectsAnswer = true
      question = prologue + Self.request(path)
    }
    unsent = question[...]
  }

  /// Calls `completion` once, with nil if all is well.
  func run(within timeout: Duration, _ completion: @escaping (HealthProblem?) -> Void) {
    self.completion = completion
    // The timer keeps this object until it ends.
    let timer = LoopTimer { _ in self.finish(.tooSlow) }
    self.timer = timer
    loop.schedule(timer, at: loop.now + timeout)
    tryNext(ECONNREFUSED)
  }

  /// Ends it without a word.
  func cancel() {
    completion = nil
    release()
  }

  private static func request(_ path: String) -> [UInt8] {
    Array(
      ("GET \(path) HTTP/1.1\r\nHost: localhost\r\nUser-Agent: qtun-health\r\n"
        + "Accept: */*\r\nConnection: close\r\n\r\n").utf8)
  }

  private func tryNext(_ lastError: Int32) {
    guard let address = addresses.popFirst() else { return finish(.unreachable(lastError)) }
    do throws(RuntimeError) {
      let socket = try connect(address)
      socket.handler = self
      self.socket = socket
    } catch {
      tryNext(error.code)
    }
  }

  private func move() {
    guard isConnected, let socket else { return }
    while !unsent.isEmpty {
      let result = unsent.withUnsafeBytes { bytes in
        withUnsafePointer(to: bytes) { socket.write(UnsafeBufferPointer(start: $0, count: 1)) }
      }
      guard case .moved(let count) = result else { break }
      unsent = unsent.dropFirst(count)
    }
    withUnsafeTemporaryAllocation(byteCount: Self.answerMax, alignment: 1) { buffer in
      while completion != nil {
        switch socket.read(into: buffer) {
        case .moved(let count):
          answer.append(contentsOf: buffer[..<count].prefix(Self.answerMax - answer.count))
          judge()
        case .blocked: return
        case .ended, .failed: finish(.noAnswer)
        }
      }
    }
  }

  /// RFC 9112 §4: the version, a space and three digits.
  private func judge() {
    let expected = Array("HTTP/1.".utf8)
    guard answer.prefix(expected.count).elementsEqual(expected.prefix(answer.count)) else {
      return finish(.notHTTP)
    }
    guard answer.count >= Self.answerMax else { return }
    let digits = String(decoding: answer[9..<12], as: UTF8.self)
    guard answer[8] == UInt8(ascii: " "), let status = Int(digits), status >= 100 else {
      return finish(.notHTTP)
    }
    finish((200..<400).contains(status) ? nil : .status(status))
  }

  private func finish(_ problem: HealthProblem?) {
    let completion = completion
    self.completion = nil
    release()
    completion?(problem)
  }

  private func release() {
    if let timer { loop.cancel(timer) }
    timer = nil
    // Nothing of the rest of an answer is read, so a plain close would be a reset anyway.
    socket?.close(resetting: expectsAnswer)
    socket = nil
  }

  /// `HTTP/1.1 200`
  private static let answerMax = 12
}

extension HealthProbe: StreamSocketHandler {
  func streamSocketConnected() {
    isConnected = true
    guard expectsAnswer else { return finish(nil) }
    move()
  }

  func streamSocketFailed(_ code: Int32) {
    guard !isConnected else { return finish(.noAnswer) }
    socket?.close(resetting: false)
    socket = nil
    tryNext(code)
  }

  func streamSocketReady(_ readiness: Readiness) { move() }
}
