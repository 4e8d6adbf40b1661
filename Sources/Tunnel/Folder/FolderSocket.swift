internal import Glibc
internal import QuicTransport

/// A web server for one folder in the shape of a connection to it: what is written are requests,
/// what is read are responses (HTTP/1.1, RFC 9112, with connections that stay open). Bound to its
/// loop.
///
///     awaiting head --GET, HEAD--> answering --body read--> awaiting head
///                                      '-- Connection: close, refused --> ended
///
/// Files are read straight into the reader's memory as it asks for more, so that the flow's
/// back-pressure bounds how much a tick reads.
final class FolderSocket: StreamSocket {
  weak var handler: (any StreamSocketHandler)?

  private let folder: SharedFolder
  private let loop: any EventLoop
  private var timer: LoopTimer?
  private var isAnnounced = false
  private var isClosed = false
  private var pendingEdges: Readiness = []
  /// Requests that came and are not answered, at most as long as a head.
  private var requests: [UInt8] = []
  private var response: FolderResponse?
  private var bytesRead = 0
  /// The client sent FIN.
  private var hasHeardAll = false
  private var hasSaidAll = false
  /// A file became shorter than it was announced: the client must not take it for whole.
  private var hasFailed = false
  /// A response was begun since the handler was told last: a request of a few bytes may ask for the list
  /// of a large folder.
  private var hasBegun = false

  /// The handler hears `streamSocketConnected` soon.
  init(folder: SharedFolder, loop: any EventLoop) {
    self.folder = folder
    self.loop = loop
    tell([.readable, .writable])
  }

  func write(_ pieces: UnsafeBufferPointer<UnsafeRawBufferPointer>) -> StreamSocketResult {
    guard !isClosed else { return .failed(EPIPE) }
    // What comes after the last response is nobody's; it must not stop the flow from ending.
    if hasSaidAll { return .moved(pieces.reduce(0) { $0 + $1.count }) }
    var moved = 0
    for piece in pieces {
      let part = piece.prefix(HTTPHead.sizeMax - requests.count)
      requests.append(contentsOf: part)
      moved += part.count
      if part.count < piece.count { break }
    }
    guard moved > 0 else { return .blocked }
    if response == nil { tell(.readable) }
    return .moved(moved)
  }

  func read(into buffer: UnsafeMutableRawBufferPointer) -> StreamSocketResult {
    let result = readOnce(into: buffer)
    // A reader takes a short read for the last one until it hears of more, as with epoll(7).
    if case .moved(let count) = result, count < buffer.count { tell(.readable) }
    return result
  }

  private func readOnce(into buffer: UnsafeMutableRawBufferPointer) -> StreamSocketResult {
    guard !isClosed else { return .ended }
    if hasFailed { return .failed(EIO) }
    if response == nil, !hasSaidAll {
      if !hasBegun {
        hasBegun = answerNext()
      } else if !requests.isEmpty || hasHeardAll {
        tell(.readable)
      }
    }
    guard let response else {
      if hasSaidAll { return .ended }
      return .blocked
    }
    if bytesRead < response.bytes.count {
      let rest = response.bytes[bytesRead...].prefix(buffer.count)
      buffer.copyBytes(from: rest)
      bytesRead += rest.count
      endResponseIfDone()
      return .moved(rest.count)
    }
    return readFile(response, into: buffer)
  }

  func finishWriting() {
    hasHeardAll = true
    if response == nil { tell([.readable, .peerClosed]) }
  }

  func close(resetting: Bool) {
    guard !isClosed else { return }
    isClosed = true
    handler = nil
    response = nil
    if let timer { loop.cancel(timer) }
    timer = nil
  }

  // MARK: Responses

  /// Begins to answer the next request; false when there is none.
  private func answerNext() -> Bool {
    switch HTTPHead.read(requests) {
    case .head(let head, let count):
      requests.removeFirst(count)
      response = FolderResponse(to: head, in: folder)
    case .needsMore:
      guard hasHeardAll else { return false }
      hasSaidAll = true
      return false
    case .malformed:
      response = FolderResponse(status: "400 Bad Request", closes: true, isHead: false)
    case .tooLarge:
      response = FolderResponse(
        status: "431 Request Header Fields Too Large", closes: true, isHead: false)
    }
    bytesRead = 0
    // There is room for the next request.
    tell(.writable)
    return true
  }

  private func readFile(
    _ response: FolderResponse, into buffer: UnsafeMutableRawBufferPointer
  ) -> StreamSocketResult {
    let range = response.range
    let part = UnsafeMutableRawBufferPointer(
      rebasing: buffer.prefix(Int(min(UInt64(buffer.count), UInt64(range.count)))))
    guard let file = response.file,
      let count = try? file.read(into: part, at: range.lowerBound), count > 0
    else {
      hasFailed = true
      self.response = nil
      return .failed(EIO)
    }
    self.response?.range = (range.lowerBound + UInt64(count))..<range.upperBound
    endResponseIfDone()
    return .moved(count)
  }

  private func endResponseIfDone() {
    guard let response, bytesRead == response.bytes.count, response.range.isEmpty else { return }
    hasSaidAll = response.closes
    self.response = nil
  }

  // MARK: Edges

  /// Tells the handler soon: never from within its own call.
  private func tell(_ readiness: Readiness) {
    pendingEdges.formUnion(readiness)
    guard timer == nil, !isClosed else { return }
    // The timer keeps this object until it is closed or told.
    let timer = LoopTimer { _ in self.announce() }
    self.timer = timer
    loop.schedule(timer, at: loop.now)
  }

  private func announce() {
    timer = nil
    let edges = pendingEdges
    pendingEdges = []
    hasBegun = false
    if !isAnnounced {
      isAnnounced = true
      handler?.streamSocketConnected()
    }
    if !isClosed { handler?.streamSocketReady(edges) }
  }
}
