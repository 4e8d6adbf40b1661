public import QuicTransport

extension Identity {
  /// A fixed identity for tests: the seed is `number`, 32 times.
  public static func fixture(_ number: UInt8) -> Identity {
    guard let identity = Identity(seed: SecretBytes([UInt8](repeating: number, count: 32))) else {
      preconditionFailure("32 bytes are a seed")
    }
    return identity
  }
}

extension SocketAddress {
  /// Hosts of the simulated internet (RFC 5737, RFC 3849), port 0.
  public static let serverHost = SocketAddress(ipv4: 0xc000_0201, port: 0)
  public static let clientHost = SocketAddress(ipv4: 0xc633_6401, port: 0)
  public static let otherHost = SocketAddress(ipv4: 0xcb00_7101, port: 0)
  public static let serverHostIPv6 = SocketAddress(high: 0x2001_0db8 << 32, low: 1, port: 0)
  public static let clientHostIPv6 = SocketAddress(high: 0x2001_0db8 << 32, low: 2, port: 0)
}
