internal import QuicTransport

/// What a restricted ticket allows: which services, until when, for how many identities.
///
///     id (8 bytes), expiry (varint), uses (varint), services: count (varint), each: length, name
///
/// The ticket carries these bytes, and its capability is an HMAC of them under the share's own. The
/// sharing side computes it again from the bytes in the HELLO, so whoever changes a grant holds a
/// capability that is worth nothing, and making one needs no word with the share.
public struct Grant: Equatable, Sendable {
  /// Names it in the list of tickets.
  public let id: GrantID
  /// When it ends, in seconds since 1970 (UTC); 0 for never.
  public let expiry: UInt64
  /// How many identities may use it; 0 for any number.
  public let uses: UInt64
  /// The names of the services it is for, empty for the one without a name; no names mean all.
  public let services: [String]

  /// A grant; nil if it would exceed `usesMax` or `bytesMax`, or names a service twice.
  public init?(id: GrantID, expiry: UInt64, uses: UInt64, services: [String]) {
    guard expiry <= Self.expiryMax, uses <= Self.usesMax,
      services.count <= ControlMessage.servicesMax, Set(services).count == services.count,
      services.allSatisfy({ $0.isEmpty || Service.isName($0) })
    else { return nil }
    self.id = id
    self.expiry = expiry
    self.uses = uses
    self.services = services
    guard bytes.count <= Self.bytesMax else { return nil }
  }

  /// The longest grant: fifteen services of the longest name. A ticket has to stay one that people
  /// can paste.
  public static let bytesMax = 1_024
  /// The identities that used a ticket are remembered, each with a line in a file.
  public static let usesMax: UInt64 = 1_000
  /// The year 9999: what dates on a command line can say.
  static let expiryMax: UInt64 = 253_402_300_799

  /// Whether it is over at `time`, in seconds since 1970. The second of the expiry is.
  public func isExpired(at time: UInt64) -> Bool {
    expiry != 0 && time >= expiry
  }

  /// Whether flows to this service are within it.
  public func allows(service: String) -> Bool {
    services.isEmpty || services.contains(service)
  }

  // MARK: Wire

  /// As it stands in tickets and in HELLO.
  var bytes: [UInt8] {
    var writer = WireWriter()
    writer.uint64(id.number)
    writer.varint(expiry)
    writer.varint(uses)
    writer.varint(UInt64(services.count))
    for service in services { writer.prefixed(Array(service.utf8)) }
    return writer.bytes
  }

  /// Reads a grant; nil for bytes that `bytes` would not have made.
  init?(_ bytes: [UInt8]) {
    var reader = WireReader(bytes)
    guard let id = reader.uint64(), let expiry = reader.varint(), let uses = reader.varint(),
      let count = reader.varint(), count <= UInt64(ControlMessage.servicesMax)
    else { return nil }
    var services: [String] = []
    for _ in 0..<count {
      guard let name = reader.prefixed(max: ControlMessage.nameMax) else { return nil }
      services.append(String(decoding: name, as: UTF8.self))
    }
    self.init(id: GrantID(number: id), expiry: expiry, uses: uses, services: services)
    guard self.bytes == bytes else { return nil }
  }

  /// The capability of a ticket with this grant, from the one of the share's unrestricted ticket.
  static func capability(root: SecretBytes, grant bytes: [UInt8]) -> SecretBytes {
    let digest = SecretBytes(Crypto.hmacSHA256(key: root, label + bytes))
    return digest.withBytes { SecretBytes($0.prefix(Ticket.capabilityCount)) }
  }

  private static let label = Array("qtun/1 grant".utf8)
}

/// The number of a grant, chosen at random; no secret.
public struct GrantID: Hashable, Sendable {
  let number: UInt64

  init(number: UInt64) {
    self.number = number
  }

  /// A fresh one.
  public static func random() -> GrantID {
    GrantID(number: Crypto.random(8).reduce(0) { $0 << 8 | UInt64($1) })
  }

  /// Reads what `description` wrote.
  public init?(_ text: some StringProtocol) {
    guard let bytes = Base32.decode(text), bytes.count == 8 else { return nil }
    number = bytes.reduce(0) { $0 << 8 | UInt64($1) }
  }
}

extension GrantID: CustomStringConvertible {
  /// 13 letters and digits of lower-case base32.
  public var description: String {
    var writer = WireWriter()
    writer.uint64(number)
    return Base32.encode(writer.bytes)
  }
}
