internal import CNgtcp2
internal import Glibc

/// What a `TLSStream` or a `TLSSocket` presents. The carriers' servers take a self-signed certificate
/// made on the spot, their clients nothing: who the peers are is settled inside (see `TLSStream`).
/// Servers for others take certificates from files.
public final class TLSStreamCredentials {
  let handle: gnutls_certificate_credentials_t
  let priorities = Priorities()
  /// An empty queue with memory, for the next stream that has something to send: of thousands that show
  /// the same, most are idle.
  var spareQueue = ByteQueue()

  /// For clients.
  public init() throws(QuicError) {
    handle = try Self.allocate()
  }

  /// For servers.
  ///
  /// - Parameter name: the certificate's common name and DNS name.
  public init(serverName name: String) throws(QuicError) {
    handle = try Self.allocate()
    guard addSelfSigned(name) else { throw .configuration("GnuTLS cannot make a certificate") }
  }

  /// For servers that others judge: a certificate with those between it and its authority, and its key,
  /// both in PEM.
  ///
  /// - Throws: `.configuration` with GnuTLS's words, where they cannot be read or do not belong together.
  public init(certificateFile: String, keyFile: String) throws(QuicError) {
    handle = try Self.allocate()
    let code = gnutls_certificate_set_x509_key_file(
      handle, certificateFile, keyFile, GNUTLS_X509_FMT_PEM)
    guard code >= 0 else { throw .configuration(String(cString: gnutls_strerror(code))) }
  }

  /// Whether the certificate from the files is for that host (RFC 6125).
  public func isFor(_ host: String) -> Bool {
    var chain: UnsafeMutablePointer<gnutls_x509_crt_t?>?
    var count: UInt32 = 0
    guard gnutls_certificate_get_x509_crt(handle, 0, &chain, &count) == 0, let chain else {
      return false
    }
    defer {
      for index in 0..<Int(count) { gnutls_x509_crt_deinit(chain[index]) }
      qtun_gnutls_free(chain)
    }
    return count > 0 && gnutls_x509_crt_check_hostname(chain[0], host) != 0
  }

  deinit {
    gnutls_certificate_free_credentials(handle)
  }

  private static func allocate() throws(QuicError) -> gnutls_certificate_credentials_t {
    var handle: gnutls_certificate_credentials_t?
    guard gnutls_certificate_allocate_credentials(&handle) == 0, let handle else {
      throw .configuration("GnuTLS is out of memory")
    }
    return handle
  }

  private func addSelfSigned(_ name: String) -> Bool {
    var key: gnutls_x509_privkey_t?
    var certificate: gnutls_x509_crt_t?
    guard gnutls_x509_privkey_init(&key) == 0, gnutls_x509_crt_init(&certificate) == 0 else {
      return false
    }
    defer {
      gnutls_x509_crt_deinit(certificate)
      gnutls_x509_privkey_deinit(key)
    }
    var serial = Crypto.random(16)
    serial[0] &= 0x7f
    let now = time(nil)
    let steps: [Int32] = [
      gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, Self.p256Bits, 0),
      gnutls_x509_crt_set_version(certificate, 3),
      gnutls_x509_crt_set_serial(certificate, serial, serial.count),
      gnutls_x509_crt_set_dn_by_oid(
        certificate, Self.commonName, 0, name, UInt32(name.utf8.count)),
      gnutls_x509_crt_set_subject_alt_name(
        certificate, GNUTLS_SAN_DNSNAME, name, UInt32(name.utf8.count), 0),
      gnutls_x509_crt_set_activation_time(certificate, now - Self.day),
      gnutls_x509_crt_set_expiration_time(certificate, now + 365 * Self.day),
      gnutls_x509_crt_set_key(certificate, key),
      gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0),
      gnutls_certificate_set_x509_key(handle, &certificate, 1, key),
    ]
    return steps.allSatisfy { $0 >= 0 }
  }

  /// GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1)
  private static let p256Bits = UInt32(1) << 31 | UInt32(GNUTLS_ECC_CURVE_SECP256R1.rawValue)
  private static let commonName = "2.5.4.3"
  private static let day = 86_400
}
