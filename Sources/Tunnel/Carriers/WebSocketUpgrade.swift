internal import QuicTransport

/// How a WebSocket begins (RFC 6455 §4): one HTTP request and its answer.
enum WebSocketUpgrade {
  /// The resource that carries sessions.
  static let path = "/qtun"
  /// RFC 6455 §1.9.
  static let subprotocol = "qtun.1"
  private static let version = "13"
  /// RFC 6455 §1.3.
  private static let identifier = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

  /// A fresh Sec-WebSocket-Key: 16 random bytes in base64.
  static func makeKey() -> String { Base64.encode(Crypto.random(16)) }

  /// The client's request (RFC 6455 §4.1).
  ///
  /// - Parameter host: the server's address and port, as in a URL.
  static func request(host: String, key: String) -> [UInt8] {
    lines([
      "GET \(path) HTTP/1.1", "Host: \(host)", "Upgrade: websocket", "Connection: Upgrade",
      "Sec-WebSocket-Key: \(key)", "Sec-WebSocket-Version: \(version)",
      "Sec-WebSocket-Protocol: \(subprotocol)",
    ])
  }

  /// Whether a response opens the WebSocket that was asked for with `key` (RFC 6455 §4.1).
  static func isOpened(by response: LenientHead, key: String) -> Bool {
    response.status == 101 && response.only("upgrade")?.lowercased() == "websocket"
      && response.lists("upgrade", in: "connection")
      && response.only("sec-websocket-accept") == accept(key)
      && response.values("sec-websocket-extensions").isEmpty
      && response.only("sec-websocket-protocol") == subprotocol
  }

  /// The server's answer to a request, and whether it opens the WebSocket (RFC 6455 §4.2).
  static func answer(to request: LenientHead) -> (bytes: [UInt8], isOpen: Bool) {
    let parts = request.startParts
    guard parts.count == 3, parts[0] == "GET", parts[2] == "HTTP/1.1",
      request.only("host") != nil
    else { return (refusal("400 Bad Request"), false) }
    guard parts[1] == path else { return (refusal("404 Not Found"), false) }
    guard request.lists("websocket", in: "upgrade"), request.lists("upgrade", in: "connection"),
      request.only("sec-websocket-version") == version
    else {
      // RFC 9110 §15.5.22 and RFC 6455 §4.2.2.
      return (
        refusal(
          "426 Upgrade Required",
          ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: \(version)"]), false
      )
    }
    guard let key = request.only("sec-websocket-key"), isKey(key),
      request.values("sec-websocket-protocol").contains(where: { list in
        list.split(separator: ",").contains { $0.drop(while: \.isWhitespace) == subprotocol }
      })
    else { return (refusal("400 Bad Request"), false) }
    let response = lines([
      "HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
      "Sec-WebSocket-Accept: \(accept(key))", "Sec-WebSocket-Protocol: \(subprotocol)",
    ])
    return (response, true)
  }

  /// An answer without content, after which the connection closes.
  static func refusal(_ status: String, _ fields: [String] = []) -> [UInt8] {
    let close = fields.isEmpty ? ["Connection: close"] : []
    return lines(["HTTP/1.1 \(status)"] + fields + close + ["Content-Length: 0"])
  }

  /// What the server makes of the client's key.
  static func accept(_ key: String) -> String {
    Base64.encode(Crypto.sha1(Array((key + identifier).utf8)))
  }

  /// Base64 of 16 bytes.
  private static func isKey(_ text: String) -> Bool {
    text.utf8.count == 24 && text.hasSuffix("==")
      && text.utf8.dropLast(2).allSatisfy(Base64.isDigit)
  }

  private static func lines(_ lines: [String]) -> [UInt8] {
    Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
  }
}
