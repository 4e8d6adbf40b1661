internal import QuicTransport

/// Shows a sharing node, through a rendezvous that cannot judge it, that whoever looks for it holds
/// its ticket. Without it a stranger who knows a public key could make its owner send packets.
///
///     grant: length (varint), bytes; time (8 bytes); tag (32 bytes)
///     tag = HMAC-SHA-256(capability, "qtun/1 find" | rendezvous | dialler | sharer | time)
///
/// It is worth nothing at another rendezvous, for another dialler, or later. The capability is that
/// of the grant, if the ticket has one.
struct FindToken: Equatable {
  /// What limits the ticket; empty for an unrestricted one.
  var grant: [UInt8]
  /// The rendezvous' clock, in seconds since 1970.
  var time: UInt64
  private var tag: [UInt8]

  /// Whom a token ties together.
  struct Parties: Equatable {
    var rendezvous: PublicKey
    var dialler: PublicKey
    var sharer: PublicKey
  }

  /// A fresh token.
  init(capability: SecretBytes, grant: [UInt8], parties: Parties, time: UInt64) {
    self.grant = grant
    self.time = time
    tag = Self.tag(capability: capability, parties: parties, time: time)
  }

  init?(_ bytes: [UInt8]) {
    var reader = WireReader(bytes)
    guard let grant = reader.prefixed(max: Self.grantMax), let time = reader.uint64(),
      let tag = reader.raw(Self.tagCount)
    else { return nil }
    self.grant = Array(grant)
    self.time = time
    self.tag = Array(tag)
  }

  var encoded: [UInt8] {
    var writer = WireWriter()
    writer.prefixed(grant)
    writer.uint64(time)
    writer.raw(tag)
    return writer.bytes
  }

  /// Whether a holder of `capability` made it for these parties, not long ago. Takes the same time
  /// for every wrong tag.
  ///
  /// - Parameter now: of the rendezvous' clock, as it told both sides.
  func isValid(capability: SecretBytes, parties: Parties, now: UInt64) -> Bool {
    let expected = Self.tag(capability: capability, parties: parties, time: time)
    let isAuthentic = tag.withUnsafeBytes { SecretBytes(expected).matches($0) }
    let age = max(now, time) - min(now, time)
    return isAuthentic && age <= Self.ageMax
  }

  private static func tag(capability: SecretBytes, parties: Parties, time: UInt64) -> [UInt8] {
    var message = WireWriter()
    message.raw(Array("qtun/1 find".utf8))
    for key in [parties.rendezvous, parties.dialler, parties.sharer] { message.raw(key.bytes) }
    message.uint64(time)
    return Crypto.hmacSHA256(key: capability, message.bytes)
  }

  /// Seconds; a node that keeps looking makes a new one well before.
  static let ageMax: UInt64 = 180
  private static let grantMax = 1_024
  private static let tagCount = 32
}
