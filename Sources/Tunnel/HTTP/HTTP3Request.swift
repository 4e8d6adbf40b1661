internal import QuicTransport

/// A request of HTTP/3 as HTTP/1.1 says it (RFC 9114 §4.3.1), for a service that speaks nothing else.
///
/// Strict, for whoever reads the lines again must see one request, for one host, of one length: what
/// could be read in two ways is refused (RFC 9114 §10.3).
struct HTTP3Request: Equatable {
  let method: String
  /// The host that it is for, as `HTTPTarget.host(ofAuthority:)` has it.
  let host: String
  /// The request line and the fields, the empty line included.
  let head: [UInt8]
  /// How its body goes on; a body in chunks when HTTP/3 did not tell its length.
  let framing: BodyFraming

  /// Why a request is not passed on.
  enum Refusal: Error, Equatable {
    /// Against RFC 9114 §4.1.2: the stream is broken off.
    case malformed
    /// One that we have no way to serve, with a sentence for people.
    case refused(String)
    /// Longer than what visitors by HTTP/1.1 may send.
    case tooLarge
  }

  /// - Parameter hasBody: whether more than the fields comes.
  init(_ fields: [HTTP3Field], hasBody: Bool) throws(Refusal) {
    let pseudo = try Self.pseudoFields(fields)
    guard let method = pseudo[":method"], FieldRules.isName(method.utf8) else {
      throw .malformed
    }
    // RFC 9110 §9.3.6, RFC 9220: for proxies, and WebSocket.
    guard method != "CONNECT" else { throw .refused("CONNECT is not served by HTTP/3 here") }
    guard pseudo[":protocol"] == nil, let scheme = pseudo[":scheme"], let path = pseudo[":path"]
    else { throw .malformed }
    guard scheme == "https" else { throw .refused("requests by HTTP/3 are for https") }
    guard path.hasPrefix("/") || path == "*" && method == "OPTIONS",
      path.utf8.allSatisfy({ (0x21...0x7e).contains($0) })
    else { throw .malformed }
    let authority = try Self.authority(pseudo[":authority"], fields)
    guard let host = HTTPTarget.host(ofAuthority: authority) else { throw .malformed }
    let lengths = fields.filter { $0.name == "content-length" }.map(\.text)
    guard
      let stated = BodyFraming.ofRequest(codings: [], lengths: lengths, minorVersion: 1)
    else { throw .malformed }
    framing = lengths.isEmpty && hasBody ? .chunked : stated
    // RFC 9114 §4.1.2: nothing follows a length above zero.
    if !hasBody, framing != .length(0) { throw .malformed }
    head = try Self.head(
      "\(method) \(path) HTTP/1.1", authority, fields, isChunked: framing == .chunked)
    self.method = method
    self.host = host
  }

  /// RFC 9114 §4.3: before all others, each once, and none that we do not know.
  private static func pseudoFields(
    _ fields: [HTTP3Field]
  ) throws(Refusal) -> [String: String] {
    var found: [String: String] = [:]
    var isPastThem = false
    for field in fields {
      guard FieldRules.isValue(field.value) else { throw .malformed }
      guard field.name.hasPrefix(":") else {
        isPastThem = true
        continue
      }
      guard !isPastThem, found[field.name] == nil,
        [":method", ":scheme", ":authority", ":path", ":protocol"].contains(field.name)
      else { throw .malformed }
      found[field.name] = field.text
    }
    return found
  }

  /// RFC 9114 §4.3.1: `:authority` or Host, and if both are there, the same.
  private static func authority(
    _ pseudo: String?, _ fields: [HTTP3Field]
  ) throws(Refusal) -> String {
    let hosts = fields.filter { $0.name == "host" }.map(\.text)
    guard hosts.count <= 1, let authority = pseudo ?? hosts.first, !authority.isEmpty,
      hosts.allSatisfy({ $0 == authority }),
      authority.utf8.allSatisfy({ (0x21...0x7e).contains($0) && $0 != UInt8(ascii: "@") })
    else { throw .malformed }
    return authority
  }

  private static func head(
    _ requestLine: String, _ authority: String, _ fields: [HTTP3Field], isChunked: Bool
  ) throws(Refusal) -> [UInt8] {
    var head = Array("\(requestLine)\r\nHost: \(authority)\r\n".utf8)
    var cookies: [[UInt8]] = []
    for field in fields where !field.name.hasPrefix(":") && field.name != "host" {
      // RFC 9114 §4.2: in lower case.
      guard FieldRules.isName(field.name.utf8), field.name == field.name.lowercased() else {
        throw .malformed
      }
      switch field.name {
      // RFC 9114 §4.2: the one value of TE that may stand there; it is about this connection.
      case "te":
        guard field.text.lowercased() == "trailers" else { throw .malformed }
      case "trailer": break
      case "cookie": cookies.append(field.value)
      case _ where FieldRules.connectionSpecific.contains(field.name): throw .malformed
      default: head += Array("\(field.name): ".utf8) + field.value + [0x0d, 0x0a]
      }
    }
    // RFC 9114 §4.2.1: one field again.
    if !cookies.isEmpty {
      head += Array("cookie: ".utf8) + Array(cookies.joined(separator: Array("; ".utf8)))
      head += [0x0d, 0x0a]
    }
    if isChunked { head += Array("Transfer-Encoding: chunked\r\n".utf8) }
    // A stream is one request, and so is what it becomes.
    head += Array("Connection: close\r\n\r\n".utf8)
    guard head.count <= HostReader.headMax else { throw .tooLarge }
    return head
  }
}
