internal import Glibc
internal import QuicTransport

/// Joins a local connection to a stream: bytes both ways, FIN to FIN, RST to RESET_STREAM and
/// STOP_SENDING, and back-pressure from end to end.
///
///     local socket --read--> stream.write      while the stream's unsent bytes are under its limit
///     local socket <--write- stream.consume    credit only for what the socket accepted
///
/// Each direction ends on its own (`toStreamDone`, `toSocketDone`); the splice ends when both have,
/// or at once when either side breaks. It never waits for the other side's acknowledgements: those
/// are the connection's business.
final class Splice {
  /// How a flow came to its end.
  enum Ending: Equatable {
    /// Both sides finished.
    case finished
    /// The local connection broke, with this `errno`.
    case localFailure(Int32)
    /// The peer broke it off, with a `TunnelCode`.
    case remote(code: UInt64)
    /// The session is gone.
    case sessionLost
  }

  private(set) var bytesToStream: UInt64 = 0
  private(set) var bytesToSocket: UInt64 = 0

  private let stream: StreamCore
  private let socket: any StreamSocket
  private let ended: (Splice, Ending) -> Void
  /// Asked when the session is gone, before the socket hears of it: true where somebody has released
  /// this splice and goes on with the socket.
  var onSessionLost: (() -> Bool)?
  private var toStreamDone = false
  private var toSocketDone = false
  private var isOver = false
  /// The peer's data begins with a `GoAhead`, which is not for the socket.
  private var awaitsGoAhead: Bool
  /// A short read does not prove that the socket is empty for now: the edge that told of FIN or of
  /// a break is spent, also when it came before the splice, while the socket waited for a session.
  private var mustReadToEnd = true

  /// Takes both over; `start` begins to move bytes.
  ///
  /// - Parameters:
  ///   - awaitsGoAhead: the flow is a dynamic one, at its opening side, and nobody read the word.
  ///   - ended: called once, on the loop, after both sides are released.
  init(
    stream: StreamCore, socket: any StreamSocket, awaitsGoAhead: Bool = false,
    ended: @escaping (Splice, Ending) -> Void
  ) {
    self.awaitsGoAhead = awaitsGoAhead
    self.stream = stream
    self.socket = socket
    self.ended = ended
  }

  func start() {
    stream.delegate = self
    socket.handler = self
    pumpToSocket()
    pumpToStream()
  }

  /// Breaks the flow off, as when the process ends.
  func abort(code: UInt64) {
    end(.sessionLost, code: code)
  }

  /// Breaks off the stream alone; the socket, of which nobody hears anything, is the caller's again.
  func release(code: UInt64) {
    guard !isOver else { return }
    isOver = true
    stream.delegate = nil
    stream.reset(code: code)
    stream.stopReceiving(code: code)
  }

  // MARK: Moving bytes

  private func pumpToStream() {
    while !isOver, !toStreamDone, stream.sendCapacity > 0 {
      var asked = 0
      // The stream's own state was checked: it takes bytes.
      guard
        let result = try? stream.write(reading: { memory in
          asked = memory.count
          let result = socket.read(into: memory)
          if case .moved(let count) = result { return (count, result) }
          return (0, result)
        })
      else { return }
      switch result {
      case .moved(let count):
        bytesToStream += UInt64(count)
        // A short read emptied the socket: the next edge tells when there is more (epoll(7)).
        if count < asked, !mustReadToEnd { return }
      case .blocked:
        mustReadToEnd = false
        return
      case .ended:
        toStreamDone = true
        stream.finish()
        endIfDone()
      case .failed(let code): end(.localFailure(code), code: TunnelCode.localReset)
      }
    }
  }

  private func pumpToSocket() {
    if awaitsGoAhead {
      switch GoAhead.read(from: stream) {
      case .given: awaitsGoAhead = false
      case .notYet: return
      case .malformed:
        let code = TunnelCode.malformedHeader
        return end(.remote(code: code), code: code)
      }
    }
    while !isOver, !toSocketDone, stream.readableCount > 0 {
      switch stream.withReadablePieces(limit: Self.piecesMax, socket.write) {
      case .moved(let count):
        bytesToSocket += UInt64(count)
        stream.consume(count)
      case .blocked: return
      case .ended: return
      case .failed(let code): end(.localFailure(code), code: TunnelCode.localReset)
      }
    }
    if !isOver, !toSocketDone, stream.isAtEnd {
      toSocketDone = true
      socket.finishWriting()
      endIfDone()
    }
  }

  private func endIfDone() {
    guard toStreamDone, toSocketDone, !isOver else { return }
    isOver = true
    socket.close(resetting: false)
    ended(self, .finished)
  }

  private func end(_ ending: Ending, code: UInt64) {
    guard !isOver else { return }
    isOver = true
    stream.reset(code: code)
    stream.stopReceiving(code: code)
    socket.close(resetting: true)
    ended(self, ending)
  }

  /// One sendmsg takes a megabyte of large chunks.
  private static let piecesMax = 16
}

extension Splice: StreamDelegate {
  func streamReadable(_ stream: StreamCore) {
    pumpToSocket()
  }

  func streamWritable(_ stream: StreamCore) {
    pumpToStream()
  }

  func streamReset(_ stream: StreamCore, code: UInt64) {
    end(.remote(code: code), code: code)
  }

  func streamStopped(_ stream: StreamCore, code: UInt64) {
    // TCP has no word for "I no longer read, but go on": a reset is what its peer would see.
    end(.remote(code: code), code: code)
  }

  func streamClosed(_ stream: StreamCore, error: QuicError?) {
    // Without an error both directions are done, though the socket may still take the rest.
    guard error != nil, onSessionLost?() != true else { return }
    end(.sessionLost, code: TunnelCode.sessionEnding)
  }
}

extension Splice: StreamSocketHandler {
  func streamSocketConnected() {}

  func streamSocketFailed(_ code: Int32) {
    end(.localFailure(code), code: TunnelCode.localReset)
  }

  func streamSocketReady(_ readiness: Readiness) {
    if !readiness.isDisjoint(with: [.peerClosed, .hangUp, .error]) { mustReadToEnd = true }
    if readiness.contains(.writable) { pumpToSocket() }
    pumpToStream()
    // A local program that vanished while the stream takes nothing must not go unnoticed.
    if !isOver, readiness.contains(.error) {
      end(.localFailure(ECONNRESET), code: TunnelCode.localReset)
    }
  }
}
