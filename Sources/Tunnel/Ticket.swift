public import QuicTransport

/// An invitation to a share: whom to reach, where, and the right to use it.
///
/// Printed as `qtun1` and base32 of:
///
///     flags (1 byte): 1 if there is a grant, 2 if there are rendezvous
///     identity (32 bytes)
///     capability (16 bytes)
///     port of the first service, or 0 (2 bytes)
///     addresses: count (1 byte), each: family 4 or 6, 4 or 16 bytes, port (2 bytes)
///     grant, if there is one: length (varint), bytes
///     rendezvous, if there are any: count (1 byte), each: key (32 bytes), addresses as above
///     checksum: the first 4 bytes of SHA-256 over all of the above
///
/// Whoever holds a ticket may connect, within its grant if it has one, so it is as secret as a
/// password.
public struct Ticket: Sendable {
  /// The sharing node; the connecting side accepts no other.
  public var identity: PublicKey
  /// Proves the right to connect.
  public var capability: SecretBytes
  /// The first service's port, or 0: a hint for people and programs that only read tickets.
  public var port: UInt16
  /// Where the node may be reached, best first, `addressesMax` at most.
  public var addresses: [SocketAddress]
  /// Who brings us together where no address can be reached; `RendezvousAddress.countMax` at most.
  public var rendezvous: [RendezvousAddress] = []
  /// What a restricted ticket is limited to; `capability` is worth nothing without exactly this.
  public let grant: Grant?

  /// A ticket; addresses beyond `addressesMax` are left out.
  public init(
    identity: PublicKey, capability: SecretBytes, port: UInt16, addresses: [SocketAddress]
  ) {
    precondition(capability.count == Self.capabilityCount)
    self.identity = identity
    self.capability = capability
    self.port = port
    self.addresses = Array(addresses.prefix(Self.addressesMax))
    grant = nil
  }

  private init(_ ticket: Ticket, capability: SecretBytes, grant: Grant) {
    identity = ticket.identity
    self.capability = capability
    port = ticket.port
    addresses = ticket.addresses
    rendezvous = ticket.rendezvous
    self.grant = grant
  }

  /// An unrestricted ticket, limited to `grant`. It opens the share once the grant is in the list of
  /// tickets that the share reads.
  public func restricted(to grant: Grant) -> Ticket {
    precondition(self.grant == nil)
    return Ticket(
      self, capability: Grant.capability(root: capability, grant: grant.bytes), grant: grant)
  }

  /// Bytes of a capability.
  public static let capabilityCount = 16
  /// More would make tickets unwieldy and dialling slow.
  public static let addressesMax = 8
  static let prefix = "qtun1"
  private static let checksumCount = 4
  private static let grantFlag: UInt8 = 1
  private static let rendezvousFlag: UInt8 = 2

  /// A fresh random capability of 128 bits.
  public static func makeCapability() -> SecretBytes {
    SecretBytes(Crypto.random(capabilityCount))
  }

  /// The capability that `identity` gives for `service`, the same every time: tickets stay valid
  /// when the share is started again.
  public static func makeCapability(of identity: Identity, service: String) -> SecretBytes {
    identity.deriveSecret("qtun capability", context: service).withBytes {
      SecretBytes($0.prefix(capabilityCount))
    }
  }

  /// The ticket as text.
  public var text: String {
    var writer = WireWriter()
    let rendezvous = rendezvous.prefix(RendezvousAddress.countMax)
    writer.byte(
      (grant == nil ? 0 : Self.grantFlag) | (rendezvous.isEmpty ? 0 : Self.rendezvousFlag))
    writer.raw(identity.bytes)
    capability.withBytes { writer.raw($0) }
    writer.uint16(port)
    writer.byte(UInt8(addresses.count))
    for address in addresses { writer.address(address) }
    if let grant { writer.prefixed(grant.bytes) }
    if !rendezvous.isEmpty { writer.rendezvous(Array(rendezvous)) }
    writer.raw(Crypto.sha256(writer.bytes).prefix(Self.checksumCount))
    return Self.prefix + Base32.encode(writer.bytes)
  }

  /// Reads a ticket; surrounding white space is ignored.
  public init(_ text: String) throws(TicketError) {
    let text = text.trimmingSpace()
    guard text.lowercased().hasPrefix(Self.prefix) else { throw .foreign }
    let body = text.dropFirst(Self.prefix.count)
    if let index = body.firstIndex(where: { !$0.isBase32 }) {
      let position = text.distance(from: text.startIndex, to: index) + 1
      throw .character(body[index], position: position)
    }
    guard let bytes = Base32.decode(body), bytes.count > Self.checksumCount else {
      throw .truncated
    }
    let content = Array(bytes.dropLast(Self.checksumCount))
    let isIntact = Crypto.sha256(content).prefix(Self.checksumCount)
      .elementsEqual(bytes.suffix(Self.checksumCount))
    guard isIntact else {
      throw Self.isShort(content) ? .truncated : .mistyped
    }
    try self.init(content: content)
  }

  private init(content: [UInt8]) throws(TicketError) {
    var reader = WireReader(content)
    guard let flags = reader.byte() else { throw .truncated }
    guard flags & ~(Self.grantFlag | Self.rendezvousFlag) == 0 else { throw .newer }
    guard let key = reader.raw(PublicKey.byteCount), let identity = PublicKey(key),
      let capability = reader.raw(Self.capabilityCount), let port = reader.uint16(),
      let count = reader.byte(), count <= Self.addressesMax
    else { throw .mistyped }
    var addresses: [SocketAddress] = []
    for _ in 0..<count {
      guard let address = reader.address() else { throw .mistyped }
      addresses.append(address)
    }
    var grant: Grant?
    if flags & Self.grantFlag != 0 {
      guard let bytes = reader.prefixed(max: Grant.bytesMax), let read = Grant(Array(bytes)) else {
        throw .mistyped
      }
      grant = read
    }
    var rendezvous: [RendezvousAddress] = []
    if flags & Self.rendezvousFlag != 0 {
      guard let read = reader.rendezvous() else { throw .mistyped }
      rendezvous = read
    }
    guard reader.count == 0 else { throw .newer }
    self.init(
      identity: identity, capability: SecretBytes(capability), port: port, addresses: addresses)
    self.rendezvous = rendezvous
    if let grant { self = Ticket(self, capability: self.capability, grant: grant) }
  }

  /// Whether the content ends before the addresses that it announces: the sign of a cut-off copy
  /// rather than of a typing mistake.
  private static func isShort(_ content: [UInt8]) -> Bool {
    let fixed = 1 + PublicKey.byteCount + capabilityCount + 2 + 1
    guard content.count >= fixed else { return true }
    // The last four bytes of the copy were taken for the checksum.
    var reader = WireReader(content[fixed...])
    for _ in 0..<min(content[fixed - 1], UInt8(addressesMax)) where reader.address() == nil {
      return true
    }
    guard content[0] & grantFlag != 0 else { return false }
    return reader.prefixed(max: Grant.bytesMax) == nil
  }
}

/// What is wrong with the text of a ticket.
public enum TicketError: Error, Equatable, Sendable {
  /// It does not begin as a ticket does.
  case foreign
  /// A character that no ticket has, and its position, counted from 1.
  case character(Character, position: Int)
  /// Its end is missing.
  case truncated
  /// The checksum does not match.
  case mistyped
  /// It is of a later version of qtun.
  case newer
}

extension Character {
  fileprivate var isBase32: Bool {
    // A letter with a combining mark sorts between two plain ones.
    guard isASCII else { return false }
    return ("a"..."z").contains(self) || ("A"..."Z").contains(self) || ("2"..."7").contains(self)
  }
}

extension String {
  fileprivate func trimmingSpace() -> String {
    var text = Substring(self)
    while text.first?.isWhitespace == true { text.removeFirst() }
    while text.last?.isWhitespace == true { text.removeLast() }
    return String(text)
  }
}
