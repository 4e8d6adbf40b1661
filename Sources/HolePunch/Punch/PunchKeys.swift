public import QuicTransport

/// What two peers sign their probes with: one key for each direction, so that nothing can be sent
/// back to where it came from, and a number that tells one pair's probes from another's.
///
///     secret = HMAC-SHA-256(shared secret, "qtun punch" + salt + first's key + second's key)
///     pair   = HMAC-SHA-256(secret, "pair")[0..<8]
///     first's key = HMAC-SHA-256(secret, "first"), second's = HMAC-SHA-256(secret, "second")
public struct PunchKeys: Sendable {
  /// Stands in every probe of the pair.
  public let pair: UInt64
  /// Whether we are the first side, which has the smaller public key and the last word about the
  /// path.
  public let isFirst: Bool
  let sending: SecretBytes
  let receiving: SecretBytes

  /// - Parameters:
  ///   - secret: what both sides share: a ticket's capability, or what a relayed session exports.
  ///   - salt: of this rendezvous; fresh each time, so that no old probe is worth anything.
  ///   - winsTies: of two processes with one identity, exactly one is first.
  public init(
    secret: SecretBytes, salt: [UInt8], ours: PublicKey, theirs: PublicKey, winsTies: Bool
  ) {
    isFirst = ours == theirs ? winsTies : ours.bytes.lexicographicallyPrecedes(theirs.bytes)
    let (first, second) = isFirst ? (ours, theirs) : (theirs, ours)
    let root = SecretBytes(
      Crypto.hmacSHA256(
        key: secret, Array("qtun punch".utf8) + salt + first.bytes + second.bytes))
    var reader = BigEndianReader(Crypto.hmacSHA256(key: root, Array("pair".utf8)))
    pair = reader.uint64() ?? 0
    let firstKey = SecretBytes(Crypto.hmacSHA256(key: root, Array("first".utf8)))
    let secondKey = SecretBytes(Crypto.hmacSHA256(key: root, Array("second".utf8)))
    sending = isFirst ? firstKey : secondKey
    receiving = isFirst ? secondKey : firstKey
  }
}
