internal import QuicTransport

/// How a local program asked for its destination, and so how it must be answered.
enum ProxyDialect: Equatable {
  case socks5
  case socks4
  /// HTTP CONNECT.
  case connect
  /// An HTTP request to be passed on: the origin server answers.
  case forward

  /// What it hears when the destination is connected; the destination's bytes follow.
  var granted: [UInt8] {
    switch self {
    case .socks5: Self.socks5Reply(0x00)
    case .socks4: Self.socks4Reply(0x5a)
    // RFC 9110 §9.3.6: no Content-Length, no Transfer-Encoding.
    case .connect: Array("HTTP/1.1 200 Connection established\r\n\r\n".utf8)
    case .forward: []
    }
  }

  /// What it hears when the destination is not, with the reason as a `TunnelCode`.
  func refusal(_ code: UInt64) -> [UInt8] {
    switch self {
    case .socks5: Self.socks5Reply(Self.socks5Code(code))
    // "Request rejected or failed": there is one word for everything.
    case .socks4: Self.socks4Reply(0x5b)
    case .connect, .forward: Self.httpRefusal(code)
    }
  }

  /// RFC 1928 §6. The bound address is not told: it is none that the program could use.
  static func socks5Reply(_ code: UInt8) -> [UInt8] {
    [0x05, code, 0x00, 0x01, 0, 0, 0, 0, 0, 0]
  }

  /// The same where the program has to know the address: its datagrams go there (RFC 1928 §7).
  static func socks5Reply(associatedAt relay: SocketAddress) -> [UInt8] {
    let address = [UInt8](
      unsafeUninitializedCapacity: DatagramTarget.addressSizeMax
    ) { memory, count in
      count = DatagramTarget.write(relay, to: UnsafeMutableRawBufferPointer(memory))
    }
    return [0x05, 0x00, 0x00] + address
  }

  static func socks4Reply(_ code: UInt8) -> [UInt8] {
    [0x00, code, 0, 0, 0, 0, 0, 0]
  }

  private static func socks5Code(_ code: UInt64) -> UInt8 {
    switch code {
    case TunnelCode.targetNotAllowed: 0x02
    case TunnelCode.targetUnreachable, TunnelCode.nameNotFound: 0x04
    case TunnelCode.targetRefused: 0x05
    default: 0x01
    }
  }

  private static func httpRefusal(_ code: UInt64) -> [UInt8] {
    switch code {
    case TunnelCode.targetNotAllowed:
      httpResponse("403 Forbidden", "the sharing side does not allow this destination")
    case TunnelCode.nameNotFound:
      httpResponse("502 Bad Gateway", "the sharing side finds no address for this name")
    case TunnelCode.targetRefused: httpResponse("502 Bad Gateway", "nothing listens there")
    case TunnelCode.targetUnreachable:
      httpResponse("504 Gateway Timeout", "the destination does not answer")
    case TunnelCode.sessionEnding: httpResponse("503 Service Unavailable", "the session ended")
    default: httpResponse("502 Bad Gateway", "the sharing side gave the connection up")
    }
  }

  /// A response of the proxy itself, and the end of the connection.
  static func httpResponse(_ status: String, _ text: String, header: String = "") -> [UInt8] {
    let body = "qtun: \(text)\n"
    return Array(
      """
      HTTP/1.1 \(status)\r
      Content-Type: text/plain; charset=utf-8\r
      Content-Length: \(body.utf8.count)\r
      Cache-Control: no-store\r
      Connection: close\r
      \(header)\r
      \(body)
      """.utf8)
  }
}
