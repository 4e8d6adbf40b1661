public import QuicTransport

/// A STUN Binding message (RFC 8489): "from which address do you see me?".
///
/// Credentials are not supported: what an address is worth, the probes between the peers decide,
/// and those are authenticated.
public struct STUNMessage: Equatable, Sendable {
  /// What is said.
  public var kind: Kind
  /// Ties the answer to its question.
  public var transaction: TransactionID
  /// The reflexive address: XOR-MAPPED-ADDRESS, or MAPPED-ADDRESS of an old server.
  public var mappedAddress: SocketAddress?
  /// What the other side runs; for people.
  public var software: String?
  /// ERROR-CODE of an error.
  public var errorCode: Int?
  /// UNKNOWN-ATTRIBUTES of an error.
  public var unknownAttributes: [UInt16] = []
  /// From where a request asks to be answered (RFC 5780 §7.2).
  public var changeRequest: ChangeRequest?
  /// The server's other address and port, for tests of filtering (RFC 5780 §7.4).
  public var otherAddress: SocketAddress?
  /// Attributes of a received message that its receiver had to understand and did not; of these
  /// `attributesMax` at most.
  public private(set) var notUnderstood: [UInt16] = []

  /// What a message is.
  public enum Kind: UInt16, Sendable {
    case request = 0x0001
    case indication = 0x0011
    case success = 0x0101
    case error = 0x0111
  }

  /// From where the answer shall come.
  public struct ChangeRequest: Equatable, Sendable {
    /// The server's other address.
    public var address: Bool
    /// The server's other port.
    public var port: Bool

    /// A wish.
    public init(address: Bool, port: Bool) {
      self.address = address
      self.port = port
    }
  }

  /// A message without attributes.
  public init(kind: Kind, transaction: TransactionID) {
    self.kind = kind
    self.transaction = transaction
  }

  /// Larger ones are none of ours: an answer to a plain request fits in a hundred bytes.
  static let bytesMax = 1_280
  /// Attributes that are looked at.
  static let attributesMax = 32
  static let headerCount = 20
  static let magicCookie: UInt32 = 0x2112_a442
  private static let fingerprintMask: UInt32 = 0x5354_554e
  /// Characters of SOFTWARE that are kept; RFC 8489 §14.14 allows 127.
  private static let softwareMax = 127
}

// MARK: - Encoding

extension STUNMessage {
  /// The message's bytes, with FINGERPRINT last.
  public var encoded: [UInt8] {
    var body: [UInt8] = []
    if let software { Self.append(.software, Array(software.utf8.prefix(763)), to: &body) }
    if let mappedAddress {
      Self.append(.xorMappedAddress, encode(mappedAddress, masked: true), to: &body)
    }
    if let otherAddress {
      Self.append(.otherAddress, encode(otherAddress, masked: false), to: &body)
    }
    if let changeRequest {
      let bits: UInt8 = (changeRequest.address ? 4 : 0) | (changeRequest.port ? 2 : 0)
      Self.append(.changeRequest, [0, 0, 0, bits], to: &body)
    }
    if let errorCode {
      Self.append(.errorCode, [0, 0, UInt8(errorCode / 100), UInt8(errorCode % 100)], to: &body)
    }
    if !unknownAttributes.isEmpty {
      var list: [UInt8] = []
      for attribute in unknownAttributes { list.append(bigEndian: attribute) }
      Self.append(.unknownAttributes, list, to: &body)
    }
    var bytes: [UInt8] = []
    bytes.append(bigEndian: kind.rawValue)
    bytes.append(bigEndian: UInt16(body.count + Self.fingerprintCount))
    bytes.append(bigEndian: Self.magicCookie)
    bytes += transaction.bytes
    bytes += body
    var fingerprint: [UInt8] = []
    fingerprint.append(bigEndian: CRC32.checksum(bytes) ^ Self.fingerprintMask)
    Self.append(.fingerprint, fingerprint, to: &bytes)
    return bytes
  }

  private static let fingerprintCount = 8

  private static func append(_ type: Attribute, _ value: [UInt8], to bytes: inout [UInt8]) {
    bytes.append(bigEndian: type.rawValue)
    bytes.append(bigEndian: UInt16(value.count))
    bytes += value
    // RFC 8489 §14: values end on a 32-bit boundary.
    bytes += [UInt8](repeating: 0, count: -value.count & 3)
  }

  private func encode(_ address: SocketAddress, masked: Bool) -> [UInt8] {
    let isMasked: UInt64 = masked ? .max : 0
    let cookie = UInt64(Self.magicCookie)
    var bytes: [UInt8] = [0, address.isIPv4 ? 1 : 2]
    bytes.append(bigEndian: address.port ^ UInt16(truncatingIfNeeded: cookie >> 16 & isMasked))
    if let ipv4 = address.ipv4 {
      bytes.append(bigEndian: ipv4 ^ UInt32(truncatingIfNeeded: cookie & isMasked))
    } else {
      let mask = Self.mask(transaction)
      bytes.append(bigEndian: address.high ^ mask.high & isMasked)
      bytes.append(bigEndian: address.low ^ mask.low & isMasked)
    }
    return bytes
  }

  /// RFC 8489 §14.2: an IPv6 address is masked by the cookie and the transaction.
  private static func mask(_ transaction: TransactionID) -> (high: UInt64, low: UInt64) {
    (
      UInt64(magicCookie) << 32 | transaction.high >> 32,
      transaction.high << 32 | UInt64(transaction.low)
    )
  }
}

// MARK: - Decoding

extension STUNMessage {
  /// Whether a datagram may be STUN: its first byte is unlike QUIC's and ours (RFC 7983).
  public static func mayBegin(with firstByte: UInt8) -> Bool { firstByte < 4 }

  /// Takes a datagram apart; nil for everything that is not a whole Binding message.
  public init?(_ bytes: [UInt8]) {
    guard bytes.count >= Self.headerCount, bytes.count <= Self.bytesMax else { return nil }
    var reader = BigEndianReader(bytes)
    guard let type = reader.uint16(), let kind = Kind(rawValue: type),
      let length = reader.uint16(), Int(length) == bytes.count - Self.headerCount,
      length.isMultiple(of: 4), reader.uint32() == Self.magicCookie,
      let transaction = reader.raw(TransactionID.byteCount).flatMap({ TransactionID($0) })
    else { return nil }
    self.init(kind: kind, transaction: transaction)
    guard readAttributes(&reader, of: bytes) else { return nil }
  }

  private mutating func readAttributes(_ reader: inout BigEndianReader, of bytes: [UInt8]) -> Bool {
    var isProtected = false
    for _ in 0..<Self.attributesMax {
      let start = bytes.count - reader.count
      guard reader.count > 0 else { return true }
      guard let type = reader.uint16(), let count = reader.uint16(),
        let value = reader.raw(Int(count)), reader.raw(-Int(count) & 3) != nil
      else { return false }
      let attribute = Attribute(rawValue: type)
      if attribute == .fingerprint {
        // RFC 8489 §14.7: it is the last one, and it must be right.
        var number = BigEndianReader(value)
        let expected = CRC32.checksum(bytes[..<start]) ^ Self.fingerprintMask
        return reader.count == 0 && number.uint32() == expected && number.count == 0
      }
      // RFC 8489 §14.5: what follows the integrity code is not covered by it.
      if isProtected { continue }
      switch attribute {
      case .messageIntegrity, .messageIntegritySHA256: isProtected = true
      case .some(let attribute):
        guard read(attribute, value) else { return false }
      case nil:
        if type < Self.optionalFirst { notUnderstood.append(type) }
      }
    }
    return reader.count == 0
  }

  private mutating func read(_ attribute: Attribute, _ value: ArraySlice<UInt8>) -> Bool {
    var reader = BigEndianReader(value)
    switch attribute {
    case .xorMappedAddress:
      guard let address = decodeAddress(value, masked: true) else { return false }
      mappedAddress = address
    case .mappedAddress:
      guard let address = decodeAddress(value, masked: false) else { return false }
      mappedAddress = mappedAddress ?? address
    case .otherAddress:
      guard let address = decodeAddress(value, masked: false) else { return false }
      otherAddress = address
    case .changeRequest:
      guard value.count == 4, let bits = reader.uint32() else { return false }
      changeRequest = ChangeRequest(address: bits & 4 != 0, port: bits & 2 != 0)
    case .errorCode:
      guard let number = reader.uint32() else { return false }
      errorCode = Int(number >> 8 & 7) * 100 + Int(number & 0xff) % 100
    case .unknownAttributes:
      while unknownAttributes.count < Self.attributesMax, let type = reader.uint16() {
        unknownAttributes.append(type)
      }
    case .software:
      software = String(String(decoding: value, as: UTF8.self).prefix(Self.softwareMax))
    case .username, .realm, .nonce, .messageIntegrity, .messageIntegritySHA256, .fingerprint: break
    }
    return true
  }

  private func decodeAddress(_ value: ArraySlice<UInt8>, masked: Bool) -> SocketAddress? {
    var reader = BigEndianReader(value)
    let isMasked: UInt64 = masked ? .max : 0
    let cookie = UInt64(Self.magicCookie)
    guard reader.byte() != nil, let family = reader.byte(), let number = reader.uint16() else {
      return nil
    }
    let port = number ^ UInt16(truncatingIfNeeded: cookie >> 16 & isMasked)
    switch (family, reader.count) {
    case (1, 4):
      guard let ipv4 = reader.uint32() else { return nil }
      let mask = UInt32(truncatingIfNeeded: cookie & isMasked)
      return SocketAddress(ipv4: ipv4 ^ mask, port: port)
    case (2, 16):
      guard let high = reader.uint64(), let low = reader.uint64() else { return nil }
      let mask = Self.mask(transaction)
      return SocketAddress(
        high: high ^ mask.high & isMasked, low: low ^ mask.low & isMasked, port: port)
    default: return nil
    }
  }

  /// RFC 8489 §14: attributes from here on may be ignored.
  private static let optionalFirst: UInt16 = 0x8000

  private enum Attribute: UInt16 {
    case mappedAddress = 0x0001
    case changeRequest = 0x0003
    case username = 0x0006
    case messageIntegrity = 0x0008
    case errorCode = 0x0009
    case unknownAttributes = 0x000a
    case realm = 0x0014
    case nonce = 0x0015
    case messageIntegritySHA256 = 0x001c
    case xorMappedAddress = 0x0020
    case software = 0x8022
    case fingerprint = 0x8028
    case otherAddress = 0x802c
  }
}
