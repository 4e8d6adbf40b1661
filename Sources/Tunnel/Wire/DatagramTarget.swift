internal import QuicTransport

/// Where a datagram of a UDP flow goes whose targets the dialer names; in an answer, where it comes
/// from. It stands in front of the bytes, in the form that SOCKS has for it (RFC 1928 §5), so that a
/// proxy passes on what its programs wrote.
///
///     1, IPv4 address (4 bytes), port (2)
///     3, length (1), name, port (2)
///     4, IPv6 address (16 bytes), port (2)
enum DatagramTarget: Hashable {
  case address(SocketAddress)
  /// As written; not judged yet.
  case name(Destination)

  /// Takes the front of a datagram apart; nil when there is no target, or none that could be
  /// reached: port 0, or a name with bytes that no name has.
  ///
  /// - Returns: the target, and the bytes behind it, which may be none.
  static func decode(
    _ bytes: UnsafeRawBufferPointer
  ) -> (target: DatagramTarget, payload: UnsafeRawBufferPointer)? {
    guard let type = bytes.first else { return nil }
    let start = type == nameType ? 2 : 1
    let length: Int
    switch type {
    case ipv4Type: length = 4
    case ipv6Type: length = 16
    case nameType:
      guard bytes.count > 1, bytes[1] > 0 else { return nil }
      length = Int(bytes[1])
    default: return nil
    }
    let end = start + length + 2
    guard bytes.count >= end else { return nil }
    let host = bytes[start..<start + length]
    let port = UInt16(bytes[end - 2]) << 8 | UInt16(bytes[end - 1])
    guard port > 0 else { return nil }
    let payload = UnsafeRawBufferPointer(rebasing: bytes[end...])
    switch type {
    case ipv4Type:
      return (.address(SocketAddress(ipv4: UInt32(number(host)), port: port)), payload)
    case ipv6Type:
      let address = SocketAddress(
        high: number(host.prefix(8)), low: number(host.suffix(8)), port: port)
      return (.address(address), payload)
    default:
      guard host.allSatisfy({ (0x21...0x7e).contains($0) }) else { return nil }
      let name = String(decoding: host, as: UTF8.self)
      return (.name(Destination(host: name, port: port)), payload)
    }
  }

  /// Writes an address to memory of `addressSizeMax` bytes; returns how many it took. IPv4 is
  /// written as such, also where it came in its mapped form.
  static func write(_ address: SocketAddress, to memory: UnsafeMutableRawBufferPointer) -> Int {
    let count: Int
    if let ipv4 = address.ipv4 {
      memory[0] = ipv4Type
      memory.storeBytes(of: ipv4.bigEndian, toByteOffset: 1, as: UInt32.self)
      count = 5
    } else {
      memory[0] = ipv6Type
      memory.storeBytes(of: address.high.bigEndian, toByteOffset: 1, as: UInt64.self)
      memory.storeBytes(of: address.low.bigEndian, toByteOffset: 9, as: UInt64.self)
      count = 17
    }
    memory.storeBytes(of: address.port.bigEndian, toByteOffset: count, as: UInt16.self)
    return count + 2
  }

  /// What the sharing side's rules are asked about.
  var destination: Destination {
    switch self {
    case .address(let address): Destination(host: address.host, port: address.port)
    case .name(let destination): destination
    }
  }

  private static func number(_ bytes: Slice<UnsafeRawBufferPointer>) -> UInt64 {
    bytes.reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// A type, an IPv6 address, a port.
  static let addressSizeMax = 19
  private static let ipv4Type: UInt8 = 1
  private static let nameType: UInt8 = 3
  private static let ipv6Type: UInt8 = 4
}
