internal import QuicTransport

/// The MAP request and response of the Port Control Protocol (RFC 6887 §7, §11), for UDP.
enum PCPMessage {
  static let version: UInt8 = 2
  private static let opcodeMap: UInt8 = 1
  private static let responseBit: UInt8 = 0x80
  private static let udp: UInt8 = 17
  private static let byteCount = 60

  /// Asks for an outside port for `client`; lifetime 0 gives it back.
  static func request(
    client: SocketAddress, nonce: TransactionID, lifetime: UInt32, suggested: SocketAddress?
  ) -> [UInt8] {
    var bytes: [UInt8] = [version, opcodeMap, 0, 0]
    bytes.append(bigEndian: lifetime)
    bytes.append(bigEndian: client.high)
    bytes.append(bigEndian: client.low)
    bytes += nonce.bytes
    bytes += [udp, 0, 0, 0]
    bytes.append(bigEndian: client.port)
    // RFC 6887 §11.1: no wish is all zeros, of the family that is wanted.
    let wish = suggested ?? (client.isIPv4 ? .anyIPv4 : .any)
    bytes.append(bigEndian: wish.port)
    bytes.append(bigEndian: wish.high)
    bytes.append(bigEndian: wish.low)
    return bytes
  }

  /// Reads a response to our request; nil for everything else.
  static func response(
    _ bytes: [UInt8], client: SocketAddress, nonce: TransactionID
  ) -> PortMapper.Response? {
    var reader = BigEndianReader(bytes)
    guard let version = reader.byte(), let opcode = reader.byte(), opcode & responseBit != 0 else {
      return nil
    }
    // RFC 6887 §9 and RFC 6886 §3.5: a NAT-PMP gateway answers in its own version.
    guard version == Self.version else { return version == 0 ? .unsupportedVersion : nil }
    guard opcode == responseBit | opcodeMap, reader.byte() != nil, let result = reader.byte(),
      let lifetime = reader.uint32(), reader.raw(4 + 12) != nil
    else { return nil }
    if result == 1 { return .unsupportedVersion }
    guard bytes.count >= byteCount,
      reader.raw(TransactionID.byteCount).flatMap({ TransactionID($0) }) == nonce,
      reader.byte() == udp, reader.raw(3) != nil, reader.uint16() == client.port,
      let port = reader.uint16(), let high = reader.uint64(), let low = reader.uint64()
    else { return nil }
    guard result == 0 else { return .refused }
    return .mapped(SocketAddress(high: high, low: low, port: port), lifetime: lifetime)
  }
}
