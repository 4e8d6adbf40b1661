internal import QuicTransport

/// What a target hears in front of a connection: whom it comes from. The format is HAProxy's "The
/// PROXY protocol", versions 1 (§2.1, text) and 2 (§2.2, binary).
public enum ProxyProtocol: String, CaseIterable, Sendable {
  case v1
  /// Carries the peer's identity as well: the 32 bytes of its Ed25519 public key in a TLV of type
  /// 0xe0, the first one for private use (§2.2.7).
  case v2

  /// Whom a flow comes from.
  struct Origin {
    /// Where the peer's session comes from: the far end of its UDP or TCP path.
    var source: SocketAddress
    /// Our end of that path.
    var destination: SocketAddress
    /// The peer's key.
    var identity: PublicKey?
  }

  /// The bytes before the connection's own.
  func header(_ origin: Origin) -> [UInt8] {
    switch self {
    case .v1: Self.text(origin)
    case .v2: Self.binary(origin)
    }
  }

  private static func text(_ origin: Origin) -> [UInt8] {
    let (source, destination) = (origin.source, origin.destination)
    guard let family = Family(origin) else { return Array("PROXY UNKNOWN\r\n".utf8) }
    let name = family == .ipv4 ? "TCP4" : "TCP6"
    let addresses = "\(source.bareHost) \(destination.bareHost)"
    return Array("PROXY \(name) \(addresses) \(source.port) \(destination.port)\r\n".utf8)
  }

  private static func binary(_ origin: Origin) -> [UInt8] {
    var body = WireWriter()
    let family = Family(origin)
    for address in [origin.source, origin.destination] {
      switch family {
      case .ipv4: body.raw((address.ipv4 ?? 0).bigEndianBytes)
      case .ipv6:
        body.uint64(address.high)
        body.uint64(address.low)
      case nil: break
      }
    }
    if family != nil {
      body.uint16(origin.source.port)
      body.uint16(origin.destination.port)
    }
    if let key = origin.identity?.bytes {
      body.byte(identityType)
      body.uint16(UInt16(key.count))
      body.raw(key)
    }
    var header = WireWriter()
    header.raw(signature)
    // Version 2, and PROXY. Without addresses the family is UNSPEC: a receiver skips them then.
    header.byte(0x21)
    header.byte(family?.rawValue ?? 0)
    header.uint16(UInt16(body.bytes.count))
    header.raw(body.bytes)
    return header.bytes
  }

  /// Address family and STREAM, as version 2 writes them.
  private enum Family: UInt8 {
    case ipv4 = 0x11
    case ipv6 = 0x21

    /// nil where the peer's address is not known, or the two ends are of different families.
    init?(_ origin: Origin) {
      let (source, destination) = (origin.source, origin.destination)
      guard source.isIPv4 == destination.isIPv4, !PathLabel.isSynthetic(source) else { return nil }
      self = source.isIPv4 ? .ipv4 : .ipv6
    }
  }

  private static let signature: [UInt8] = [
    0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a,
  ]
  private static let identityType: UInt8 = 0xe0
}

extension UInt32 {
  fileprivate var bigEndianBytes: [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: self >> $0) }
  }
}

extension SocketAddress {
  /// The address without port and zone.
  fileprivate var bareHost: String {
    var address = self
    address.scope = 0
    return address.host
  }
}

extension StreamSocket {
  /// Writes a few bytes to a socket that has taken hardly any: the kernel has room for them.
  func accepts(_ bytes: [UInt8]) -> Bool {
    guard !bytes.isEmpty else { return true }
    return bytes.withUnsafeBytes { write($0) } == .moved(bytes.count)
  }
}
