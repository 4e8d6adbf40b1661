internal import QuicTransport

/// A visitor by HTTPS who is told, with the first answer, that the relay speaks HTTP/3 as well: an
/// Alt-Svc field (RFC 7838 §3) behind the status line. Everything else passes as it is.
final class AdvertisingSocket: StreamSocket {
  private let socket: any StreamSocket
  private var place = AnswerOpening()
  /// Of the field, what the socket has not taken yet.
  private var pending: ArraySlice<UInt8>
  private var isInserting = false

  var handler: (any StreamSocketHandler)? {
    get { socket.handler }
    set { socket.handler = newValue }
  }

  /// - Parameter advertisement: the value of the field.
  init(_ socket: any StreamSocket, advertisement: String) {
    self.socket = socket
    pending = Array("Alt-Svc: \(advertisement)\r\n".utf8)[...]
  }

  func read(into buffer: UnsafeMutableRawBufferPointer) -> StreamSocketResult {
    socket.read(into: buffer)
  }

  func write(_ pieces: UnsafeBufferPointer<UnsafeRawBufferPointer>) -> StreamSocketResult {
    if isInserting, let result = insert() { return result }
    guard !place.isPassed, let piece = pieces.first(where: { !$0.isEmpty }) else {
      return socket.write(pieces)
    }
    // Up to the place, in one go with nothing behind it.
    var ahead = place
    let part = UnsafeRawBufferPointer(rebasing: piece.prefix(ahead.read(piece)))
    let result = withUnsafePointer(to: part) {
      socket.write(UnsafeBufferPointer(start: $0, count: 1))
    }
    guard case .moved(let count) = result else { return result }
    _ = place.read(UnsafeRawBufferPointer(rebasing: part.prefix(count)))
    if place.isFound {
      isInserting = true
      // What it says about the socket, the next write hears as well.
      _ = insert()
    }
    return result
  }

  /// Nil once all of it is written.
  private func insert() -> StreamSocketResult? {
    while !pending.isEmpty {
      let result = pending.withUnsafeBytes { bytes in
        withUnsafePointer(to: bytes) { socket.write(UnsafeBufferPointer(start: $0, count: 1)) }
      }
      guard case .moved(let count) = result else { return result }
      pending = pending.dropFirst(count)
    }
    isInserting = false
    return nil
  }

  func finishWriting() {
    socket.finishWriting()
  }

  func close(resetting: Bool) {
    socket.close(resetting: resetting)
  }
}

/// Finds the end of the status line of the first final answer of a connection.
struct AnswerOpening {
  /// The place was just reached: the field goes between what was read and what follows.
  private(set) var isFound = false
  private var line: [UInt8] = []
  private var isInStatusLine = true
  private var isOver = false

  /// There is nothing to look for any more.
  var isPassed: Bool { isFound || isOver }

  /// Takes the next bytes, up to the place if it is in them, and tells how many these were.
  mutating func read(_ bytes: UnsafeRawBufferPointer) -> Int {
    for (index, byte) in bytes.enumerated() {
      if isPassed { return index }
      if byte != UInt8(ascii: "\n") {
        if line.count < Self.lineMax { line.append(byte) }
      } else {
        endLine()
      }
    }
    return bytes.count
  }

  private mutating func endLine() {
    defer { line = [] }
    if isInStatusLine {
      let words = String(decoding: line, as: UTF8.self).split(separator: " ")
      guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1].prefix(3)),
        status != 101
      else {
        isOver = true
        return
      }
      // RFC 9110 §15.2: the final answer comes behind this one's empty line.
      if status < 200 { isInStatusLine = false } else { isFound = true }
    } else if line.isEmpty || line == [UInt8(ascii: "\r")] {
      isInStatusLine = true
    }
  }

  /// More than stands before a status and the space behind it.
  private static let lineMax = 16
}
