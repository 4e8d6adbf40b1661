internal import QuicTransport

// Addresses as tickets and messages carry them: family 4 or 6, 4 or 16 bytes, port (2 bytes).
extension WireWriter {
  mutating func address(_ address: SocketAddress) {
    if let ipv4 = address.ipv4 {
      byte(4)
      uint16(UInt16(ipv4 >> 16))
      uint16(UInt16(truncatingIfNeeded: ipv4))
    } else {
      byte(6)
      uint64(address.high)
      uint64(address.low)
    }
    uint16(address.port)
  }

  /// An address, or a single zero byte for none.
  mutating func optionalAddress(_ address: SocketAddress?) {
    if let address { self.address(address) } else { byte(0) }
  }
}

extension WireReader {
  mutating func address() -> SocketAddress? {
    guard let family = byte() else { return nil }
    return address(family: family)
  }

  /// Nil for malformed; a value of nil for none.
  mutating func optionalAddress() -> SocketAddress?? {
    guard let family = byte() else { return nil }
    guard family != 0 else { return .some(nil) }
    return address(family: family).map(Optional.some)
  }

  private mutating func address(family: UInt8) -> SocketAddress? {
    switch family {
    case 4:
      guard let upper = uint16(), let lower = uint16(), let port = uint16() else { return nil }
      return SocketAddress(ipv4: UInt32(upper) << 16 | UInt32(lower), port: port)
    case 6:
      guard let high = uint64(), let low = uint64(), let port = uint16() else { return nil }
      return SocketAddress(high: high, low: low, port: port)
    default: return nil
    }
  }
}
