/// Requests to an HTTP proxy: CONNECT (RFC 9110 §9.3.6), and requests in absolute form for plain
/// HTTP (RFC 9112 §3.2.2), one of them for each connection.
///
/// A web page that sends its own requests to this port gets 400: browsers write them in origin form,
/// and write CONNECT and the absolute form only to a proxy that their user chose.
enum HTTPProxyParser {
  /// Reads a request from the front of `buffer`.
  static func read(_ buffer: inout [UInt8], credentials: ProxyCredentials?) -> ProxyParser.Step {
    switch HTTPHead.read(buffer) {
    case .needsMore: return .needsMore
    case .malformed: return refuse("400 Bad Request", "this is no HTTP request")
    case .tooLarge:
      return refuse("431 Request Header Fields Too Large", "the head is longer than 8 KiB")
    case .head(let head, let count):
      if let credentials, !isAuthorized(head, credentials) {
        let challenge = "Proxy-Authenticate: Basic realm=\"qtun\"\r\n"
        return .refuse(
          ProxyDialect.httpResponse(
            "407 Proxy Authentication Required", "this proxy asks for a user name and password",
            header: challenge))
      }
      return request(head, rest: buffer[count...])
    }
  }

  private static func request(_ head: HTTPHead, rest: ArraySlice<UInt8>) -> ProxyParser.Step {
    if head.method == "CONNECT" {
      guard let destination = Destination(head.target) else {
        return refuse("400 Bad Request", "CONNECT needs a host and a port")
      }
      return .request(
        ProxyRequest(destination: destination, dialect: .connect, early: Array(rest)))
    }
    guard let (authority, path) = HTTPTarget.absoluteForm(head.target, schemes: ["http"]),
      let destination = Destination(authority) ?? Destination("\(authority):80")
    else {
      return refuse(
        "400 Bad Request", "this is a proxy: it takes CONNECT, and requests for http:// URLs")
    }
    let bytes = rewritten(head, authority: authority, path: path)
    return .request(
      ProxyRequest(destination: destination, dialect: .forward, early: bytes + rest))
  }

  private static func isAuthorized(_ head: HTTPHead, _ credentials: ProxyCredentials) -> Bool {
    let values = head.values(of: "proxy-authorization")
    return values.count == 1 && credentials.matches(authorization: values[0][...])
  }

  /// The request as the origin server shall see it (RFC 9110 §7.6, RFC 9112 §3.2.2). It is asked to
  /// close after its answer, since the next request may be for another server.
  private static func rewritten(_ head: HTTPHead, authority: String, path: String) -> [UInt8] {
    var dropped: Set<String> = ["connection", "host", "keep-alive", "te", "upgrade"]
    dropped.formUnion(["proxy-connection", "proxy-authorization", "proxy-authenticate"])
    dropped.formUnion(head.members(of: "connection"))
    // What tells where the body ends stays, whatever the program says.
    dropped.subtract(["content-length", "transfer-encoding"])
    var bytes = Array("\(head.method) \(path) HTTP/1.1\r\nHost: \(authority)\r\n".utf8)
    for field in head.fields where !dropped.contains(field.name.lowercased()) {
      bytes += Array("\(field.name): ".utf8) + field.value + Array("\r\n".utf8)
    }
    bytes += Array("Via: 1.\(head.minorVersion) qtun\r\nConnection: close\r\n\r\n".utf8)
    return bytes
  }

  private static func refuse(_ status: String, _ text: String) -> ProxyParser.Step {
    .refuse(ProxyDialect.httpResponse(status, text))
  }
}
