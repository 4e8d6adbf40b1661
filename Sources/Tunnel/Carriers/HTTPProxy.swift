public import QuicTransport

/// An HTTP proxy that TCP carriers go through (RFC 9110 §9.3.6). UDP does not.
public struct HTTPProxy: Sendable {
  /// Its addresses, tried in this order; at least one.
  public var addresses: [SocketAddress]
  /// `user:password` as the proxy expects them (RFC 7617 §2), or nil.
  public var credentials: SecretBytes?
  /// Peers that are dialled without it.
  public var exceptions: [AddressRange]

  /// All of it; nothing has a default that changes behaviour.
  public init(
    addresses: [SocketAddress], credentials: SecretBytes?, exceptions: [AddressRange]
  ) {
    self.addresses = addresses
    self.credentials = credentials
    self.exceptions = exceptions
  }

  /// Whether a connection to this address goes through the proxy.
  func serves(_ address: SocketAddress) -> Bool {
    !exceptions.contains { $0.contains(address) }
  }

  /// What asks it for a connection to this address.
  func request(to target: SocketAddress) -> [UInt8] {
    let name = target.description
    var text = Array("CONNECT \(name) HTTP/1.1\r\nHost: \(name)\r\n".utf8)
    if let credentials {
      text += Array("Proxy-Authorization: Basic ".utf8)
      text += credentials.withBytes { Base64.characters(of: $0) } + Array("\r\n".utf8)
    }
    return text + Array("\r\n".utf8)
  }
}

/// The addresses with a common beginning: `192.0.2.0/24`.
public struct AddressRange: Hashable, Sendable {
  private let base: SocketAddress
  /// Of the 128 bits that every address has.
  private let bits: Int

  /// - Parameter bits: how many of the address's own bits count: at most 32 for IPv4, 128 for IPv6.
  /// - Returns: nil for more.
  public init?(_ base: SocketAddress, bits: Int) {
    guard (0...(base.isIPv4 ? 32 : 128)).contains(bits) else { return nil }
    self.base = base
    self.bits = base.isIPv4 ? bits + 96 : bits
  }

  /// Whether an address is one of them, whatever its port.
  public func contains(_ address: SocketAddress) -> Bool {
    let high = UInt64.max << UInt64(64 - min(bits, 64))
    let low = bits <= 64 ? 0 : UInt64.max << UInt64(128 - bits)
    return (address.high ^ base.high) & high == 0 && (address.low ^ base.low) & low == 0
  }
}

/// Why a proxy gave no connection.
public enum ProxyError: Error, Equatable, Sendable {
  /// It cannot be connected to; with the `errno`.
  case unreachable(code: Int32)
  /// It did not answer in time.
  case silent
  /// It closed the connection instead of an answer.
  case closed
  /// What it said is no answer of an HTTP proxy.
  case malformed
  /// It wants credentials, and there are none (RFC 9110 §15.5.8).
  case credentialsMissing
  /// It does not accept the credentials.
  case credentialsRefused
  /// It does not connect to the peer; with its status and its words.
  case refused(status: Int, reason: String)
}
