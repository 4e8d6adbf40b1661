internal import CNgtcp2

/// An IP address and a UDP or TCP port.
///
/// IPv4 is kept as its IPv4-mapped IPv6 form (RFC 4291 §2.5.5.2), so that one 28-byte shape serves
/// dual-stack sockets, ngtcp2's paths and hash tables; it prints as IPv4.
public struct SocketAddress: Hashable, Sendable {
  /// The first eight bytes of the address as a number, most significant first.
  public var high: UInt64
  /// The last eight bytes.
  public var low: UInt64
  /// The interface index of a link-local address, else zero (RFC 4007).
  public var scope: UInt32
  /// In host order.
  public var port: UInt16

  /// An address from its two halves.
  public init(high: UInt64, low: UInt64, scope: UInt32 = 0, port: UInt16) {
    self.high = high
    self.low = low
    self.scope = scope
    self.port = port
  }

  /// An IPv4 address from its 32 bits in host order.
  public init(ipv4: UInt32, port: UInt16) {
    self.init(high: 0, low: Self.mappedPrefix | UInt64(ipv4), port: port)
  }

  /// Parses a numeric address without port: `192.0.2.1`, `2001:db8::1`, `fe80::1%eth0`.
  public init?(_ text: String, port: UInt16) {
    var address = qtun_address()
    // C sees a zero byte as the end of the text.
    guard !text.utf8.contains(0), qtun_address_parse(text, &address) else { return nil }
    self.init(high: address.high, low: address.low, scope: address.scope, port: port)
  }

  /// 127.0.0.1
  public static let loopbackIPv4 = SocketAddress(ipv4: 0x7f00_0001, port: 0)
  /// Every local address of both families.
  public static let any = SocketAddress(high: 0, low: 0, port: 0)
  /// 0.0.0.0
  public static let anyIPv4 = SocketAddress(ipv4: 0, port: 0)

  /// Whether it is an IPv4 address in mapped form.
  public var isIPv4: Bool { high == 0 && low >> 32 == 0xffff }
  /// 0.0.0.0 or ::
  public var isUnspecified: Bool { high == 0 && (low == 0 || low == Self.mappedPrefix) }
  /// 127.0.0.0/8 or ::1
  public var isLoopback: Bool {
    isIPv4 ? (low >> 24) & 0xff == 127 : high == 0 && low == 1
  }
  /// 169.254.0.0/16 or fe80::/10
  public var isLinkLocal: Bool {
    isIPv4 ? (low >> 16) & 0xffff == 0xa9fe : high >> 54 == 0xfe80 >> 6
  }
  /// RFC 1918 or fc00::/7
  public var isPrivate: Bool {
    guard isIPv4 else { return high >> 57 == 0xfc >> 1 }
    let address = UInt32(truncatingIfNeeded: low)
    return address >> 24 == 10 || address >> 20 == 0xac1 || address >> 16 == 0xc0a8
  }

  /// The 32 bits of an IPv4 address, in host order.
  public var ipv4: UInt32? { isIPv4 ? UInt32(truncatingIfNeeded: low) : nil }

  /// The same address with another port.
  public func with(port: UInt16) -> SocketAddress {
    var copy = self
    copy.port = port
    return copy
  }

  /// The address without its port.
  public var host: String {
    withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { buffer in
      var address = raw
      // SAFETY: the buffer outlives the call, and inet_ntop ends it with a zero byte within 46.
      let text = buffer.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: CChar.self)
      qtun_address_format(&address, text, 64)
      let host = String(cString: text)
      return scope == 0 ? host : "\(host)%\(scope)"
    }
  }

  var raw: qtun_address { qtun_address(high: high, low: low, scope: scope, port: port) }

  init(_ raw: qtun_address) {
    self.init(high: raw.high, low: raw.low, scope: raw.scope, port: raw.port)
  }

  static let mappedPrefix: UInt64 = 0xffff << 32
}

extension SocketAddress: CustomStringConvertible {
  /// `192.0.2.1:443` or `[2001:db8::1]:443`
  public var description: String {
    isIPv4 ? "\(host):\(port)" : "[\(host)]:\(port)"
  }
}

/// The two ends of a path as one side sees it. The transport treats it as an opaque label: a
/// carrier that is not UDP gets a synthetic pair (design, "The one idea").
public struct NetworkPath: Hashable, Sendable {
  /// Our end.
  public var local: SocketAddress
  /// The peer's end.
  public var remote: SocketAddress

  /// A path from its two ends.
  public init(local: SocketAddress, remote: SocketAddress) {
    self.local = local
    self.remote = remote
  }
}
