/// What a public listener says itself, where a share cannot.
enum PublicAnswer {
  /// Nobody shares the name.
  static func unknown(_ host: String) -> [UInt8] {
    ProxyDialect.httpResponse(
      "404 Not Found", "nobody shares \(host) here; check the name, or start its share again")
  }

  /// The share is there, but does not take the visitor.
  static let refused = ProxyDialect.httpResponse(
    "502 Bad Gateway", "the share behind this name is here, but its service does not answer")

  /// As many visitors as there may be.
  static let tooMany = ProxyDialect.httpResponse(
    "503 Service Unavailable", "too many visitors are here; try again in a moment")

  /// The shares are there, and say that what they share does not work (RFC 9110 §15.6.4).
  static let unhealthy = ProxyDialect.httpResponse(
    "503 Service Unavailable",
    "the service behind this name fails its health check; try again in a moment")

  /// The share was there, and is not any more.
  static let away = ProxyDialect.httpResponse(
    "502 Bad Gateway", "the share behind this name is away; try again in a moment")

  /// The connection is another share's (RFC 9110 §15.5.20).
  static let misdirected = ProxyDialect.httpResponse(
    "421 Misdirected Request",
    "this connection leads to another host; open a new one for this request")

  static let tooLarge = ProxyDialect.httpResponse(
    "431 Request Header Fields Too Large",
    "the head of the request is longer than \(HostReader.headMax / 1024) KiB")

  static let tooSlow = ProxyDialect.httpResponse(
    "408 Request Timeout",
    "the head of the request took longer than \(HostSocket.headTimeout.components.seconds) s")

  static func malformed(_ reason: String) -> [UInt8] {
    ProxyDialect.httpResponse("400 Bad Request", reason)
  }

  /// An HTTP/2 connection that begins without an agreement: SETTINGS, which must come first, and GOAWAY
  /// with HTTP_1_1_REQUIRED (RFC 9113 §3.4, §6.8, §7). To route its requests by their first
  /// `:authority`, HPACK would have to be read, and later requests may name other hosts.
  static let http11Required: [UInt8] = {
    let reason = Array("this listener finds shares by the Host of HTTP/1.1".utf8)
    let settings: [UInt8] = [0, 0, 0, 4, 0, 0, 0, 0, 0]
    let header: [UInt8] = [0, 0, UInt8(8 + reason.count), 7, 0, 0, 0, 0, 0]
    return settings + header + [0, 0, 0, 0, 0, 0, 0, 0x0d] + reason
  }()
}
