internal import QuicTransport

/// The requests and responses of NAT-PMP (RFC 6886 §3), for UDP.
enum NATPMPMessage {
  /// RFC 6886 §3.2: what is the outside address?
  static let addressRequest: [UInt8] = [0, 0]

  /// RFC 6886 §3.3: asks for an outside port; lifetime 0 gives it back (§3.4).
  static func mapRequest(port: UInt16, lifetime: UInt32) -> [UInt8] {
    var bytes: [UInt8] = [0, 1, 0, 0]
    bytes.append(bigEndian: port)
    bytes.append(bigEndian: lifetime == 0 ? 0 : port)
    bytes.append(bigEndian: lifetime)
    return bytes
  }

  /// What a gateway says.
  enum Response: Equatable {
    case address(UInt32)
    case mapped(port: UInt16, lifetime: UInt32)
    case refused
  }

  /// Reads a response about `port`; nil for everything else.
  static func response(_ bytes: [UInt8], port: UInt16) -> Response? {
    var reader = BigEndianReader(bytes)
    guard reader.byte() == 0, let opcode = reader.byte(), opcode == 0x80 || opcode == 0x81,
      let result = reader.uint16(), reader.uint32() != nil
    else { return nil }
    guard result == 0 else { return .refused }
    if opcode == 0x80 { return reader.uint32().map { .address($0) } }
    guard reader.uint16() == port, let outside = reader.uint16(), let lifetime = reader.uint32()
    else { return nil }
    return .mapped(port: outside, lifetime: lifetime)
  }
}
