internal import Glibc
internal import QuicTransport

/// A connection through an HTTP proxy (RFC 9110 §9.3.6): to whoever holds it a stream socket that
/// is connected once the proxy has said so.
///
///     connecting --TCP--> asking --2xx--> open --> over
///         |                  '--other answer, silence--> over
///         '-- every address of the proxy failed --> over
final class ProxyConnection: StreamSocket, StreamSocketHandler {
  weak var handler: (any StreamSocketHandler)?
  /// Why there is no connection, once the handler was told so.
  private(set) var failure: ProxyError?

  private let proxy: HTTPProxy
  private let target: SocketAddress
  private let loop: any EventLoop
  private let connect: CarrierDialer.Connect
  private var addressesLeft: ArraySlice<SocketAddress>
  private var socket: (any StreamSocket)?
  private var phase = Phase.connecting
  /// What is left of the request.
  private var request: ArraySlice<UInt8> = []
  private var reader = LenientHeadReader()
  /// What came with the answer's last piece and is the peer's already.
  private var surplus: ArraySlice<UInt8> = []
  private var deadline: LoopTimer?

  private enum Phase {
    case connecting
    case asking
    case open
    case over
  }

  /// Begins to connect; the handler hears of it later.
  init(
    to target: SocketAddress, through proxy: HTTPProxy, loop: any EventLoop,
    connect: @escaping CarrierDialer.Connect
  ) throws(ProxyError) {
    self.target = target
    self.proxy = proxy
    self.loop = loop
    self.connect = connect
    addressesLeft = proxy.addresses[...]
    try connectNext(ECONNREFUSED)
    let deadline = LoopTimer { [weak self] _ in self?.giveUp() }
    self.deadline = deadline
    loop.schedule(deadline, at: loop.now + Self.timeout)
  }

  // MARK: StreamSocket

  func read(into buffer: UnsafeMutableRawBufferPointer) -> StreamSocketResult {
    guard case .open = phase, let socket else { return .blocked }
    guard !surplus.isEmpty else { return socket.read(into: buffer) }
    let part = surplus.prefix(buffer.count)
    buffer.copyBytes(from: part)
    surplus.removeFirst(part.count)
    return .moved(part.count)
  }

  func write(_ pieces: UnsafeBufferPointer<UnsafeRawBufferPointer>) -> StreamSocketResult {
    guard case .open = phase, let socket else { return .blocked }
    return socket.write(pieces)
  }

  func finishWriting() {
    if case .open = phase { socket?.finishWriting() }
  }

  func close(resetting: Bool) {
    phase = .over
    disarm()
    socket?.close(resetting: resetting)
    socket = nil
    handler = nil
  }

  // MARK: StreamSocketHandler

  func streamSocketConnected() {
    guard case .connecting = phase else { return }
    phase = .asking
    request = proxy.request(to: target)[...]
    sendRequest()
  }

  func streamSocketFailed(_ code: Int32) {
    guard case .connecting = phase else { return }
    socket?.close(resetting: false)
    do throws(ProxyError) {
      try connectNext(code)
    } catch {
      fail(error)
    }
  }

  func streamSocketReady(_ readiness: Readiness) {
    switch phase {
    case .connecting, .over: break
    case .asking:
      sendRequest()
      readAnswer()
    case .open: handler?.streamSocketReady(readiness)
    }
  }

  // MARK: Asking

  private func connectNext(_ lastError: Int32) throws(ProxyError) {
    var code = lastError
    while let address = addressesLeft.popFirst() {
      do throws(RuntimeError) {
        let socket = try connect(address)
        socket.handler = self
        self.socket = socket
        return
      } catch {
        code = error.code
      }
    }
    throw .unreachable(code: code)
  }

  private func sendRequest() {
    while !request.isEmpty, let socket {
      switch request.withUnsafeBytes({ socket.write($0) }) {
      case .moved(let count): request.removeFirst(count)
      case .blocked: return
      case .ended, .failed: return fail(.closed)
      }
    }
  }

  private func readAnswer() {
    while case .asking = phase, let socket {
      let result = withUnsafeTemporaryAllocation(byteCount: Self.readSize, alignment: 1) { buffer in
        let result = socket.read(into: buffer)
        if case .moved(let count) = result {
          take(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
        return result
      }
      switch result {
      case .moved: continue
      case .blocked: return
      case .ended, .failed: return fail(.closed)
      }
    }
  }

  private func take(_ bytes: UnsafeRawBufferPointer) {
    switch reader.read(bytes) {
    case .needsMore: break
    case .malformed, .oversized: fail(.malformed)
    case .head(let head, let count):
      surplus = Array(bytes[count...])[...]
      judge(head)
    }
  }

  private func judge(_ head: LenientHead) {
    switch head.status {
    case let status? where (200..<300).contains(status): open()
    case 407: fail(proxy.credentials == nil ? .credentialsMissing : .credentialsRefused)
    case let status?:
      let reason = head.startParts.dropFirst(2).first ?? ""
      fail(.refused(status: status, reason: String(reason.prefix(Self.reasonMax))))
    case nil: fail(.malformed)
    }
  }

  private func open() {
    phase = .open
    disarm()
    handler?.streamSocketConnected()
    // What the kernel holds already is not reported again.
    if case .open = phase { handler?.streamSocketReady([.readable, .writable]) }
  }

  private func giveUp() {
    switch phase {
    case .connecting: fail(.unreachable(code: ETIMEDOUT))
    case .asking: fail(.silent)
    case .open, .over: break
    }
  }

  private func fail(_ error: ProxyError) {
    failure = error
    let handler = handler
    close(resetting: true)
    handler?.streamSocketFailed(ECONNREFUSED)
  }

  private func disarm() {
    if let deadline { loop.cancel(deadline) }
    deadline = nil
  }

  /// A proxy may have to look for the peer itself, but a user does not wait longer.
  private static let timeout = Duration.seconds(5)
  /// On the stack.
  private static let readSize = 1_024
  /// Of the words in a status line: what fits on a line of a terminal.
  private static let reasonMax = 80
}
