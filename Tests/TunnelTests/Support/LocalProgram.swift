import QuicTransport
import Simulation

/// A program at the far end of a local connection: a client of the link's listener, or the shared
/// service. It sends what it is told, and writes down what it got.
final class LocalProgram: StreamSocketHandler {
  let socket: SimStreamSocket
  private(set) var received: [UInt8] = []
  private(set) var sawEnd = false
  /// The `errno` that it was told.
  private(set) var failure: Int32?
  /// Bytes that its socket took.
  var sentCount: Int { socket.bytesWritten }
  /// While false, it reads nothing.
  var reads = true {
    didSet { if reads { pump() } }
  }
  /// Finishes when it saw the peer's end, as an echo server does.
  var finishesAtEnd = false
  var echoes = false

  private var outgoing: [UInt8] = []
  private var offset = 0
  private var finishesWhenSent = false
  private(set) var isReset = false

  init(_ socket: SimStreamSocket) {
    self.socket = socket
    socket.handler = self
  }

  /// It has heard the end or the failure of its connection.
  var isOver: Bool { sawEnd || failure != nil || isReset }

  func send(_ bytes: [UInt8], finishing: Bool = false) {
    outgoing.append(contentsOf: bytes)
    if finishing { finishesWhenSent = true }
    pump()
  }

  /// Sends FIN after what is queued.
  func finish() {
    finishesWhenSent = true
    pump()
  }

  /// Vanishes with RST.
  func reset() {
    isReset = true
    socket.close(resetting: true)
  }

  func streamSocketConnected() {}

  func streamSocketFailed(_ code: Int32) {
    failure = code
  }

  func streamSocketReady(_ readiness: Readiness) {
    pump()
  }

  private func pump() {
    if reads { readAll() }
    writeAll()
  }

  private func readAll() {
    withUnsafeTemporaryAllocation(byteCount: 16_384, alignment: 1) { buffer in
      while !sawEnd, failure == nil, !isReset {
        switch socket.read(into: buffer) {
        case .moved(let count):
          received.append(contentsOf: buffer[..<count])
          if echoes { outgoing.append(contentsOf: buffer[..<count]) }
        case .blocked: return
        case .ended:
          sawEnd = true
          if finishesAtEnd { finishesWhenSent = true }
        case .failed(let code): failure = code
        }
      }
    }
  }

  private func writeAll() {
    guard failure == nil, !isReset else { return }
    while offset < outgoing.count {
      let result = outgoing.withUnsafeBytes { bytes in
        let piece = UnsafeRawBufferPointer(rebasing: bytes[offset...])
        return withUnsafePointer(to: piece) {
          socket.write(UnsafeBufferPointer(start: $0, count: 1))
        }
      }
      switch result {
      case .moved(let count): offset += count
      case .blocked, .ended: return
      case .failed(let code):
        failure = code
        return
      }
    }
    if finishesWhenSent { socket.finishWriting() }
  }
}
