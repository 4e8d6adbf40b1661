import Glibc
internal import QuicTransport

/// Answers this user's other programs: one line with a JSON object that has a `command`, one line with
/// a JSON object in return, and the connection ends.
///
/// Nobody who connects can hold anything up: a request has a size, an exchange has a time, and only so
/// many go on at once. Called on the loop.
final class ControlSocket {
  /// Answers a request; nil when there is no such command. Calls back once, on the loop.
  typealias Answer = (JSONValue, @escaping (String?) -> Void) -> Void

  private let loop: EpollLoop
  private let answer: Answer
  private var listener: UnixListener?
  private var clients: [ObjectIdentifier: ControlClient] = [:]

  /// Listens at `path`, in a folder that is private.
  init(loop: EpollLoop, path: String, answer: @escaping Answer) throws(RuntimeError) {
    self.loop = loop
    self.answer = answer
    listener = try UnixListener(loop: loop, path: path) { [weak self] socket in
      self?.accept(socket)
    }
  }

  /// Stops listening and removes the socket.
  func close() {
    listener?.close()
    listener = nil
    for client in clients.values { client.close() }
  }

  private func accept(_ socket: UnixSocket) {
    // The folder keeps others out already; root may be anybody.
    let isOurs = socket.peerUser == geteuid() || socket.peerUser == 0
    guard isOurs, clients.count < Self.clientsMax else { return socket.close(resetting: false) }
    let client = ControlClient(socket: socket, loop: loop, answer: answer) { [weak self] client in
      self?.clients[ObjectIdentifier(client)] = nil
    }
    clients[ObjectIdentifier(client)] = client
  }

  private static let clientsMax = 8
}

/// One exchange.
private final class ControlClient: StreamSocketHandler {
  private let socket: UnixSocket
  private let loop: EpollLoop
  private let ended: (ControlClient) -> Void
  private let answer: ControlSocket.Answer
  private var deadline: LoopTimer?
  private var request: [UInt8] = []
  /// Nil until the request has been read and answered.
  private var response: ArraySlice<UInt8>?
  private var isAsked = false

  init(
    socket: UnixSocket, loop: EpollLoop, answer: @escaping ControlSocket.Answer,
    ended: @escaping (ControlClient) -> Void
  ) {
    self.socket = socket
    self.loop = loop
    self.answer = answer
    self.ended = ended
    let deadline = LoopTimer { [weak self] _ in self?.close() }
    self.deadline = deadline
    loop.schedule(deadline, at: loop.now + Self.timeout)
    socket.handler = self
  }

  func close() {
    guard let deadline else { return }
    loop.cancel(deadline)
    self.deadline = nil
    socket.close(resetting: false)
    ended(self)
  }

  func streamSocketConnected() {}

  func streamSocketFailed(_ code: Int32) { close() }

  func streamSocketReady(_ readiness: Readiness) {
    if isAsked { return write() }
    withUnsafeTemporaryAllocation(byteCount: Self.requestBytesMax, alignment: 1) { buffer in
      while !isAsked, deadline != nil {
        switch socket.read(into: buffer) {
        case .moved(let count): take(buffer[..<count])
        case .blocked: return
        case .ended, .failed: return close()
        }
      }
    }
  }

  private func take(_ bytes: Slice<UnsafeMutableRawBufferPointer>) {
    request.append(contentsOf: bytes)
    guard let end = request.firstIndex(of: 0x0a) else {
      if request.count > Self.requestBytesMax { close() }
      return
    }
    guard end <= Self.requestBytesMax, let value = JSONValue(request[..<end]) else {
      return close()
    }
    isAsked = true
    answer(value) { [weak self] text in
      self?.response = Array((text ?? Self.unknown).utf8)[...] + [0x0a]
      self?.write()
    }
  }

  private func write() {
    while deadline != nil, let rest = response {
      if rest.isEmpty { return close() }
      switch rest.withUnsafeBytes({ socket.write($0) }) {
      case .moved(let count): response = rest.dropFirst(count)
      case .blocked: return
      case .ended, .failed: return close()
      }
    }
  }

  /// Local programs answer at once; whoever takes longer has stopped.
  private static let timeout = Duration.seconds(2)
  private static let requestBytesMax = 4_096
  private static let unknown = #"{"event":"error","message":"there is no such command"}"#
}
