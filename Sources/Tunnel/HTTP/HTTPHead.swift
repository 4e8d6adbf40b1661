/// The head of an HTTP/1.1 request (RFC 9112 §2.1), taken apart strictly: what is doubtful is
/// malformed, so that nobody behind us reads it in another way.
struct HTTPHead: Equatable {
  var method: String
  /// As written; its form is for the caller to judge (RFC 9112 §3.2).
  var target: String
  /// 0 or 1: of HTTP/1.0 or HTTP/1.1.
  var minorVersion: Int
  var fields: [Field]

  struct Field: Equatable {
    var name: String
    var value: [UInt8]

    func isNamed(_ other: String) -> Bool { FieldRules.lowercased(name) == other }
  }

  /// What a prefix of a connection amounts to.
  enum Result: Equatable {
    /// A head, and the bytes that it took, the empty line included.
    case head(HTTPHead, count: Int)
    case needsMore
    case malformed
    case tooLarge
  }

  /// The longest head, where nothing else is asked for. Browsers send a fraction of it.
  static let sizeMax = 8 * 1024

  /// The values of every field of this name, which is given in lower case.
  func values(of name: String) -> [[UInt8]] {
    fields.filter { $0.isNamed(name) }.map(\.value)
  }

  /// The members, in lower case, of the comma-separated lists in every field of this name (RFC 9110
  /// §5.6.1).
  func members(of name: String) -> [String] {
    values(of: name).flatMap { value in
      value.split(separator: UInt8(ascii: ",")).map { member in
        FieldRules.lowercased(String(decoding: Self.trimmed(member), as: UTF8.self))
      }
    }
  }

  /// Reads a head from the front of `bytes`.
  ///
  /// - Parameter searched: so many bytes were there last time, when more was needed; whoever sends a
  ///   head byte by byte costs no more than one who sends it at once.
  static func read(_ bytes: [UInt8], searched: Int = 0, sizeMax: Int = sizeMax) -> Result {
    guard let end = endOfHead(bytes, from: searched, to: min(bytes.count, sizeMax)) else {
      // What is wrong already need not be waited for.
      guard bytes.prefix(sizeMax).dropFirst(searched).allSatisfy(isHeadByte) else {
        return .malformed
      }
      return bytes.count < sizeMax ? .needsMore : .tooLarge
    }
    let lines = bytes[..<(end - 4)].split(
      separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    var head: HTTPHead?
    for (index, line) in lines.enumerated() {
      var line = line
      // Every line but the last still has its CR; a bare LF is refused (RFC 9112 §2.2).
      if index < lines.count - 1, line.popLast() != UInt8(ascii: "\r") { return .malformed }
      guard FieldRules.isValue(line) else { return .malformed }
      if index == 0 {
        head = requestLine(line)
      } else {
        guard let field = field(line) else { return .malformed }
        head?.fields.append(field)
      }
      if head == nil { return .malformed }
    }
    guard let head else { return .malformed }
    return .head(head, count: end)
  }

  /// The position behind the first empty line.
  private static func endOfHead(_ bytes: [UInt8], from searched: Int, to limit: Int) -> Int? {
    let first = max(searched, 4)
    guard limit >= first else { return nil }
    for end in first...limit where bytes[end - 1] == 0x0a {
      if bytes[end - 2] == 0x0d, bytes[end - 3] == 0x0a, bytes[end - 4] == 0x0d { return end }
    }
    return nil
  }

  private static func isHeadByte(_ byte: UInt8) -> Bool {
    byte >= 0x20 && byte != 0x7f || byte == 0x09 || byte == 0x0d || byte == 0x0a
  }

  private static func requestLine(_ line: ArraySlice<UInt8>) -> HTTPHead? {
    let parts = line.split(separator: 0x20, omittingEmptySubsequences: false)
    guard parts.count == 3, FieldRules.isName(parts[0]), !parts[1].isEmpty,
      parts[1].allSatisfy({ (0x21...0x7e).contains($0) })
    else { return nil }
    let minorVersion: Int
    switch String(decoding: parts[2], as: UTF8.self) {
    case "HTTP/1.1": minorVersion = 1
    case "HTTP/1.0": minorVersion = 0
    default: return nil
    }
    return HTTPHead(
      method: String(decoding: parts[0], as: UTF8.self),
      target: String(decoding: parts[1], as: UTF8.self), minorVersion: minorVersion, fields: [])
  }

  /// RFC 9112 §5: no white space before the colon, no folded lines.
  private static func field(_ line: ArraySlice<UInt8>) -> Field? {
    guard let colon = line.firstIndex(of: UInt8(ascii: ":")), FieldRules.isName(line[..<colon])
    else { return nil }
    return Field(
      name: String(decoding: line[..<colon], as: UTF8.self),
      value: Array(trimmed(line[(colon + 1)...])))
  }

  private static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    var rest = bytes.drop { $0 == 0x20 || $0 == 0x09 }
    while rest.last == 0x20 || rest.last == 0x09 { rest.removeLast() }
    return rest
  }
}
