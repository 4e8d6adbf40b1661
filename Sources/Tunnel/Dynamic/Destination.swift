/// A host and a port that the connecting side names; whether it may be reached is for the sharing
/// side to decide, see `TargetRules`.
public struct Destination: Hashable, Sendable, CustomStringConvertible {
  /// A name, or an address without brackets. Not judged yet.
  public var host: String
  /// 1 to 65535.
  public var port: UInt16

  /// A destination from its parts.
  public init(host: String, port: UInt16) {
    self.host = host
    self.port = port
  }

  /// Reads `HOST:PORT` or `[ADDRESS]:PORT` (RFC 9110 §9.3.6, RFC 3986 §3.2.2): the form of a
  /// CONNECT request. nil where it is neither; the host is not judged.
  public init?(_ authority: some StringProtocol) {
    let bytes = Array(authority.utf8)
    guard let colon = bytes.lastIndex(of: UInt8(ascii: ":")) else { return nil }
    let digits = bytes[(colon + 1)...]
    guard (1...5).contains(digits.count), digits.allSatisfy({ (0x30...0x39).contains($0) }),
      let port = UInt16(String(decoding: digits, as: UTF8.self)), port > 0
    else { return nil }
    var host = bytes[..<colon]
    if host.first == UInt8(ascii: "[") {
      guard host.last == UInt8(ascii: "]"), host.count > 2 else { return nil }
      host = host.dropFirst().dropLast()
      guard host.contains(UInt8(ascii: ":")) else { return nil }
    } else if host.contains(UInt8(ascii: ":")) {
      return nil
    }
    guard (1...Self.hostMax).contains(host.count), host.allSatisfy(Self.isHostByte) else {
      return nil
    }
    self.init(host: String(decoding: host, as: UTF8.self), port: port)
  }

  /// `example.com:443` or `[2001:db8::1]:443`
  public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

  /// What fits into a flow header, and into a SOCKS request (RFC 1928 §5).
  static let hostMax = 255

  /// What may stand in a host at all: nothing that ends it in an authority or breaks a line.
  private static func isHostByte(_ byte: UInt8) -> Bool {
    byte > 0x20 && byte != 0x7f && !"/?#@\\[]\"<>".utf8.contains(byte)
  }
}
