/// An HTTP/1 response (RFC 9112) to a question of ours, as far as a router's small web server needs
/// to be understood.
struct HTTPResponse: Equatable {
  var status: Int
  var body: [UInt8]

  /// What has arrived so far amounts to.
  enum Progress: Equatable {
    case incomplete
    case complete(HTTPResponse)
    case malformed
  }

  /// - Parameter isAtEnd: the connection is closed: nothing more will come.
  static func read(_ bytes: [UInt8], isAtEnd: Bool) -> Progress {
    guard let headEnd = endOfHead(bytes) else { return isAtEnd ? .malformed : .incomplete }
    let lines = String(decoding: bytes[..<headEnd], as: UTF8.self)
      .split(whereSeparator: \.isNewline)
    let words = lines.first?.split(separator: " ") ?? []
    guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]) else {
      return .malformed
    }
    let rest = bytes[headEnd...]
    if value(of: "transfer-encoding", in: lines)?.lowercased() == "chunked" {
      guard let body = joinedChunks(rest) else { return isAtEnd ? .malformed : .incomplete }
      return .complete(HTTPResponse(status: status, body: body))
    }
    if let length = value(of: "content-length", in: lines).flatMap({ Int($0) }), length >= 0 {
      guard rest.count >= length else { return isAtEnd ? .malformed : .incomplete }
      return .complete(HTTPResponse(status: status, body: Array(rest.prefix(length))))
    }
    return isAtEnd ? .complete(HTTPResponse(status: status, body: Array(rest))) : .incomplete
  }

  /// The value of a header field; names are not case-sensitive (RFC 9110 §5.1). Serves SSDP too.
  static func value(of name: String, in lines: [Substring]) -> String? {
    for line in lines.dropFirst() {
      guard let colon = line.firstIndex(of: ":"), line[..<colon].lowercased() == name else {
        continue
      }
      let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
      return String(value.reversed().drop { $0 == " " || $0 == "\t" }.reversed())
    }
    return nil
  }

  private static func endOfHead(_ bytes: [UInt8]) -> Int? {
    var newlines = 0
    for (index, byte) in bytes.enumerated() {
      switch byte {
      case UInt8(ascii: "\n"): newlines += 1
      case UInt8(ascii: "\r"): break
      default: newlines = 0
      }
      if newlines == 2 { return index + 1 }
    }
    return nil
  }

  /// RFC 9112 §7.1; nil as long as the last chunk is missing.
  private static func joinedChunks(_ bytes: ArraySlice<UInt8>) -> [UInt8]? {
    var body: [UInt8] = []
    var rest = bytes
    while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
      let digits = rest[..<end].prefix { $0 > 0x20 && $0 != UInt8(ascii: ";") }
      let size = UInt16(String(decoding: digits, as: UTF8.self), radix: 16)
      rest = rest[end...].dropFirst()
      guard let size, rest.count >= Int(size) else { return nil }
      if size == 0 { return body }
      body += rest.prefix(Int(size))
      rest = rest.dropFirst(Int(size))
      // The line end behind a chunk.
      guard let next = rest.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
      rest = rest[next...].dropFirst()
    }
    return nil
  }
}
