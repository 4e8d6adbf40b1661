import QuicTransport

/// HTTP/0.9 on one connection: `GET /path` and FIN on a stream bring the file and FIN.
final class HTTP09Server: ConnectionDelegate, StreamDelegate {
  private let root: DocumentRoot
  private let onClosed: () -> Void
  private var exchanges: [StreamID: Exchange] = [:]

  /// - Parameter onClosed: called last; the owner may let go.
  init(root: DocumentRoot, onClosed: @escaping () -> Void) {
    self.root = root
    self.onClosed = onClosed
  }

  func connectionReady(_ connection: ConnectionCore) {
    Console.say("accepted \(connection.summary)")
  }

  func connection(_ connection: ConnectionCore, opened stream: StreamCore) {
    stream.delegate = self
    if stream.id.isUnidirectional {
      stream.stopReceiving(code: Self.malformed)
    } else {
      exchanges[stream.id] = .reading([])
    }
  }

  func connectionAllowsStreams(_ connection: ConnectionCore) {}

  func connection(_ connection: ConnectionCore, received datagram: UnsafeRawBufferPointer) {}

  func connection(_ connection: ConnectionCore, closed error: QuicError) {
    Console.say("closed: \(error)")
    onClosed()
  }

  func streamReadable(_ stream: StreamCore) {
    guard case .reading(var request)? = exchanges[stream.id] else {
      // Whatever follows the request line is of no interest.
      stream.consume(stream.readableCount)
      return
    }
    let room = Self.requestMax + 1 - request.count
    withUnsafeTemporaryAllocation(byteCount: room, alignment: 1) { buffer in
      let count = stream.read(into: buffer)
      request += buffer[..<count]
    }
    let lineEnd = request.firstIndex { $0 == UInt8(ascii: "\r") || $0 == UInt8(ascii: "\n") }
    if let lineEnd {
      answer(request[..<lineEnd], on: stream)
    } else if stream.isAtEnd {
      answer(request[...], on: stream)
    } else if request.count > Self.requestMax {
      refuse(stream, code: Self.malformed)
    } else {
      exchanges[stream.id] = .reading(request)
    }
  }

  func streamWritable(_ stream: StreamCore) {
    if case .sending(let file)? = exchanges[stream.id] { send(file, on: stream) }
  }

  func streamReset(_ stream: StreamCore, code: UInt64) {
    if case .reading? = exchanges[stream.id] { refuse(stream, code: Self.malformed) }
  }

  func streamStopped(_ stream: StreamCore, code: UInt64) {
    exchanges[stream.id] = .done
  }

  func streamClosed(_ stream: StreamCore, error: QuicError?) {
    exchanges[stream.id] = nil
  }

  /// The longest request line; the runner's longest path has some 250 characters.
  private static let requestMax = 4_096
  // HTTP/0.9 has no error codes: these are our own.
  private static let malformed: UInt64 = 1
  private static let notFound: UInt64 = 2
  private static let unreadable: UInt64 = 3
}

// MARK: - Answering

extension HTTP09Server {
  private func answer(_ line: ArraySlice<UInt8>, on stream: StreamCore) {
    let words = String(decoding: line, as: UTF8.self).split(separator: " ")
    guard words.count >= 2, words[0] == "GET" else {
      return refuse(stream, code: Self.malformed)
    }
    guard let file = root.file(at: words[1]) else { return refuse(stream, code: Self.notFound) }
    exchanges[stream.id] = .sending(file)
    send(file, on: stream)
  }

  /// Reads as much as the stream takes; `streamWritable` goes on from there.
  private func send(_ file: ServedFile, on stream: StreamCore) {
    while file.remaining > 0 {
      guard stream.sendCapacity > 0 else { return }
      let count = try? stream.write(reading: { buffer in
        let count = file.take(into: buffer)
        return (count, count)
      })
      // Nil: the stream or its connection ended meanwhile, which its delegate hears.
      guard let count else { return }
      guard count > 0 else { return refuse(stream, code: Self.unreadable) }
    }
    exchanges[stream.id] = .done
    stream.finish()
  }

  private func refuse(_ stream: StreamCore, code: UInt64) {
    exchanges[stream.id] = .done
    stream.stopReceiving(code: code)
    stream.reset(code: code)
  }

  /// Where a request stands.
  private enum Exchange {
    /// The request line is incomplete; what there is of it.
    case reading([UInt8])
    case sending(ServedFile)
    case done
  }
}
