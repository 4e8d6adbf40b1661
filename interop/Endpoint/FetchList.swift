import QuicTransport

/// The files to fetch on one connection, and how far that is.
///
/// Files are created when their requests start, and only `concurrencyMax` requests are open at
/// once, so that neither descriptors nor memory follow the number of requests.
final class FetchList {
  private var waiting: ArraySlice<RequestURL>
  private var open: [StreamID: DownloadedFile] = [:]
  private let downloads: Downloads
  private let onReady: (ConnectionCore) -> Void
  private let onEnd: (InteropError?) -> Void
  private var hasEnded = false

  /// - Parameters:
  ///   - onReady: called when the handshake is done.
  ///   - onEnd: called once, with nil when all files are there.
  init(
    _ requests: [RequestURL], downloads: Downloads,
    onReady: @escaping (ConnectionCore) -> Void, onEnd: @escaping (InteropError?) -> Void
  ) {
    waiting = requests[...]
    self.downloads = downloads
    self.onReady = onReady
    self.onEnd = onEnd
  }

  func ready(_ connection: ConnectionCore) {
    onReady(connection)
  }

  /// Opens streams for waiting requests as far as both sides allow, and has `send` write each.
  func startRequests(
    on connection: ConnectionCore, _ send: (StreamCore, RequestURL) -> Void
  ) {
    while !hasEnded, open.count < Self.concurrencyMax, let request = waiting.first {
      let stream: StreamCore
      do {
        stream = try connection.openStream(unidirectional: false)
      } catch .limitReached {
        return
      } catch {
        return end(.failed("cannot open a stream: \(error)"))
      }
      do {
        open[stream.id] = try downloads.create(request.fileName)
      } catch {
        return end(error)
      }
      waiting.removeFirst()
      send(stream, request)
    }
  }

  /// The next bytes of a file.
  func append(_ bytes: UnsafeRawBufferPointer, to stream: StreamID) {
    do {
      try open[stream]?.append(bytes)
    } catch {
      end(error)
    }
  }

  /// The file is complete.
  func finish(_ stream: StreamID) {
    guard open.removeValue(forKey: stream) != nil else { return }
    if open.isEmpty, waiting.isEmpty { end(nil) }
  }

  /// The stream is gone; that is a failure unless its file was complete.
  func streamClosed(_ stream: StreamID, error: QuicError?) {
    guard open[stream] != nil else { return }
    let reason = error.map(\.description) ?? "the stream ended early"
    end(.failed("a file is incomplete: \(reason)"))
  }

  /// Reports the outcome, the first time that there is one.
  func end(_ error: InteropError?) {
    guard !hasEnded else { return }
    hasEnded = true
    open = [:]
    onEnd(error)
  }

  private static let concurrencyMax = 128
}
