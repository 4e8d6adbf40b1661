internal import CNgtcp2

/// An Ed25519 key pair (RFC 8032): who a node is.
public struct Identity: Sendable {
  /// What names the node.
  public let publicKey: PublicKey
  /// The 32-byte seed of RFC 8032 §5.1.5.
  let seed: SecretBytes

  /// A fresh random identity.
  public static func generate() -> Identity {
    let seed = SecretBytes(Crypto.random(32))
    guard let identity = Identity(seed: seed) else {
      preconditionFailure("every 32 bytes are an Ed25519 seed")
    }
    return identity
  }

  /// The identity of a 32-byte seed; nil for any other length.
  public init?(seed: SecretBytes) {
    guard seed.count == 32, let publicKey = Self.derivePublicKey(seed) else { return nil }
    self.seed = seed
    self.publicKey = publicKey
  }

  /// The identity in a PKCS #8 private key file (`-----BEGIN PRIVATE KEY-----`, RFC 8410 §7), the
  /// format that OpenSSL writes as well. Nil if it is not one, or holds another kind of key.
  public init?(pem: SecretBytes) {
    var seed: SecretBytes?
    pem.withBytes { text in
      guard let key = PrivateKey(pem: text) else { return }
      seed = key.ed25519Seed()
    }
    guard let seed else { return nil }
    self.init(seed: seed)
  }

  /// The PKCS #8 file of this identity.
  public var pem: SecretBytes {
    guard let pem = PrivateKey(seed: seed)?.pem() else {
      preconditionFailure("a seed that made an identity can be exported")
    }
    return pem
  }

  /// A secret for another purpose, bound to this identity: HMAC-SHA-256 of `label` and
  /// `context` under the seed (the extract step of RFC 5869 in one block). It survives restarts as the identity does.
  public func deriveSecret(_ label: StaticString, context: String) -> SecretBytes {
    let message = Array(label.description.utf8) + [0] + Array(context.utf8)
    return SecretBytes(Crypto.hmacSHA256(key: seed, message))
  }

  /// The PKCS #8 DER of the key, as `gnutls_certificate_set_rawpk_key_mem` takes it.
  func withPrivateKeyDER<Result>(_ body: (inout gnutls_datum_t) -> Result) -> Result {
    guard let key = PrivateKey(seed: seed), let result = key.withDER(body) else {
      preconditionFailure("a seed that made an identity can be exported")
    }
    return result
  }

  /// The 44-byte SubjectPublicKeyInfo (RFC 8410 §4).
  var subjectPublicKeyInfo: [UInt8] {
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00] + publicKey.bytes
  }

  private static func derivePublicKey(_ seed: SecretBytes) -> PublicKey? {
    PrivateKey(seed: seed)?.publicKey()
  }
}

/// The owner of one GnuTLS private key.
private final class PrivateKey {
  private let key: gnutls_x509_privkey_t

  init?(seed: SecretBytes) {
    var key: gnutls_x509_privkey_t?
    guard gnutls_x509_privkey_init(&key) == 0, let key else { return nil }
    self.key = key
    // PKCS #8 of an Ed25519 seed is a fixed prefix and the seed (RFC 8410 §7), which spares a
    // derivation that GnuTLS 3.7 does not offer: it computes the public half while importing.
    let prefix: [UInt8] = [
      0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
      0x20,
    ]
    let der = seed.withBytes { SecretBytes(prefix + Array($0)) }
    guard Self.load(der, GNUTLS_X509_FMT_DER, into: key) else { return nil }
  }

  init?(pem: UnsafeRawBufferPointer) {
    var key: gnutls_x509_privkey_t?
    guard gnutls_x509_privkey_init(&key) == 0, let key else { return nil }
    self.key = key
    guard Self.load(SecretBytes(pem), GNUTLS_X509_FMT_PEM, into: key) else { return nil }
  }

  deinit {
    gnutls_x509_privkey_deinit(key)
  }

  private static func load(
    _ bytes: SecretBytes, _ format: gnutls_x509_crt_fmt_t, into key: gnutls_x509_privkey_t
  ) -> Bool {
    bytes.withBytes { bytes in
      // SAFETY: GnuTLS only reads through the pointer, and only during the call.
      let base = UnsafeMutablePointer(
        mutating: bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
      var datum = gnutls_datum_t(data: base, size: UInt32(bytes.count))
      return gnutls_x509_privkey_import2(key, &datum, format, nil, 0) == 0
    }
  }

  func ed25519Seed() -> SecretBytes? {
    var curve = GNUTLS_ECC_CURVE_INVALID
    var x = gnutls_datum_t()
    var k = gnutls_datum_t()
    guard gnutls_x509_privkey_export_ecc_raw(key, &curve, &x, nil, &k) == 0 else { return nil }
    defer {
      qtun_free_secret(&k)
      qtun_free_secret(&x)
    }
    guard curve == GNUTLS_ECC_CURVE_ED25519, k.size == 32 else { return nil }
    return SecretBytes(UnsafeBufferPointer(start: k.data, count: Int(k.size)))
  }

  func publicKey() -> PublicKey? {
    var curve = GNUTLS_ECC_CURVE_INVALID
    var x = gnutls_datum_t()
    var k = gnutls_datum_t()
    guard gnutls_x509_privkey_export_ecc_raw(key, &curve, &x, nil, &k) == 0 else { return nil }
    defer {
      qtun_free_secret(&k)
      qtun_free_secret(&x)
    }
    return PublicKey(UnsafeBufferPointer(start: x.data, count: Int(x.size)))
  }

  func pem() -> SecretBytes? {
    export(GNUTLS_X509_FMT_PEM) { datum in
      SecretBytes(UnsafeBufferPointer(start: datum.data, count: Int(datum.size)))
    }
  }

  func withDER<Result>(_ body: (inout gnutls_datum_t) -> Result) -> Result? {
    export(GNUTLS_X509_FMT_DER, body)
  }

  private func export<Result>(
    _ format: gnutls_x509_crt_fmt_t, _ body: (inout gnutls_datum_t) -> Result
  ) -> Result? {
    var datum = gnutls_datum_t()
    let plain = UInt32(GNUTLS_PKCS_PLAIN.rawValue)
    guard gnutls_x509_privkey_export2_pkcs8(key, format, nil, plain, &datum) == 0 else {
      return nil
    }
    defer { qtun_free_secret(&datum) }
    return body(&datum)
  }
}
