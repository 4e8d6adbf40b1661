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
    guard !place.isPassed else { return socket.write(pieces) }
    var ahead = place
    let offset = Self.read(pieces, .max, with: &ahead)
    let result = ahead.isFound ? writeAround(pieces, offset) : socket.write(pieces)
    guard case .moved(let count) = result else { return result }
    _ = Self.read(pieces, count, with: &place)
    guard place.isFound else { return result }
    // Those who write are told of their own bytes.
    let inserted = min(count - offset, pending.count)
    pending = pending.dropFirst(inserted)
    isInserting = !pending.isEmpty
    return .moved(count - inserted)
  }

  /// Writes the pieces with the field between them, in one go.
  private func writeAround(
    _ pieces: UnsafeBufferPointer<UnsafeRawBufferPointer>, _ offset: Int
  ) -> StreamSocketResult {
    pending.withUnsafeBytes { field in
      var all: [UnsafeRawBufferPointer] = []
      var left = offset
      for piece in pieces where !piece.isEmpty {
        if left > 0, left <= piece.count {
          all.append(UnsafeRawBufferPointer(rebasing: piece[..<left]))
          all.append(field)
          if left < piece.count { all.append(UnsafeRawBufferPointer(rebasing: piece[left...])) }
        } else {
          all.append(piece)
        }
        left -= piece.count
      }
      return all.withUnsafeBufferPointer(socket.write)
    }
  }

  /// Reads on in the first `count` bytes, and tells how many it took.
  private static func read(
    _ pieces: UnsafeBufferPointer<UnsafeRawBufferPointer>, _ count: Int,
    with place: inout AnswerOpening
  ) -> Int {
    var left = count
    for piece in pieces where left > 0 && !place.isPassed {
      let part = UnsafeRawBufferPointer(rebasing: piece.prefix(left))
      left -= place.read(part)
    }
    return count - left
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
