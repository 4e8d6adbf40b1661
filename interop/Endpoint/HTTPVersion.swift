/// The application protocol, by its ALPN name.
enum HTTPVersion: String {
  /// HTTP/0.9 on QUIC, the interop runner's own.
  case http09 = "hq-interop"
  /// RFC 9114
  case http3 = "h3"
}
