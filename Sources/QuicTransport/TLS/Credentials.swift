internal import CNgtcp2

/// Whom an endpoint is, and whom it believes.
public enum Authentication: Sendable {
  /// Ed25519 raw public keys on both sides (RFC 7250): no certificates, no authorities.
  case rawPublicKey(Identity)
  /// X.509 for users who bring certificates, and for foreign peers.
  case certificates(CertificateFiles)
}

extension Authentication {
  /// Whether `target` says whom to believe. Without that, any peer with a key, or any certificate
  /// of a trusted authority, would do.
  func canJudge(_ target: ConnectTarget) -> Bool {
    switch self {
    case .rawPublicKey: target.expectedPeer != nil
    case .certificates(let files):
      if case .insecureAny = files.trust { true } else { target.serverName != nil }
    }
  }
}

/// Where the X.509 material of an endpoint is; all files are PEM.
public struct CertificateFiles: Sendable {
  /// The chain and key that this endpoint presents; required for a server.
  public var chainFile: String?
  /// The private key of the chain's first certificate.
  public var keyFile: String?
  /// How the peer's certificate is judged.
  public var trust: Trust
  /// Whether a server asks for a client certificate and refuses clients without one.
  public var requiresClientCertificate: Bool

  /// Names the files; they are read when an endpoint is made.
  public init(
    chainFile: String?, keyFile: String?, trust: Trust, requiresClientCertificate: Bool
  ) {
    self.chainFile = chainFile
    self.keyFile = keyFile
    self.trust = trust
    self.requiresClientCertificate = requiresClientCertificate
  }

  /// Who vouches for a peer's certificate.
  public enum Trust: Sendable {
    /// The system's authorities.
    case system
    /// The authorities in this file.
    case authorities(file: String)
    /// Nobody: any certificate is accepted. For tests against foreign peers only.
    case insecureAny
  }
}

/// The owner of GnuTLS's credentials, shared by the sessions of an endpoint.
final class Credentials {
  let handle: gnutls_certificate_credentials_t
  let authentication: Authentication
  let priorities = Priorities()
  /// The owner of the handle, where this is not.
  private let shared: TLSStreamCredentials?

  /// - Throws: `QuicError.configuration` naming the file that could not be used.
  init(_ authentication: Authentication) throws(QuicError) {
    var handle: gnutls_certificate_credentials_t?
    guard gnutls_certificate_allocate_credentials(&handle) == 0, let handle else {
      throw .configuration("GnuTLS is out of memory")
    }
    self.handle = handle
    self.authentication = authentication
    shared = nil
    switch authentication {
    case .rawPublicKey(let identity): try load(identity)
    case .certificates(let files): try load(files)
    }
    gnutls_certificate_set_verify_function(handle) { session in
      guard let session else { return -1 }
      return TLSSession.verifyPeer(of: session) ? 0 : -1
    }
  }

  /// Of a server that shows what another server over TCP shows, and asks clients for nothing.
  init(showing credentials: TLSStreamCredentials) {
    handle = credentials.handle
    shared = credentials
    authentication = .certificates(
      CertificateFiles(
        chainFile: nil, keyFile: nil, trust: .insecureAny, requiresClientCertificate: false))
  }

  deinit {
    if shared == nil { gnutls_certificate_free_credentials(handle) }
  }

  private func load(_ identity: Identity) throws(QuicError) {
    var info = identity.subjectPublicKeyInfo
    let result = info.withUnsafeMutableBufferPointer { info in
      var spki = gnutls_datum_t(data: info.baseAddress, size: UInt32(info.count))
      return identity.withPrivateKeyDER { key in
        gnutls_certificate_set_rawpk_key_mem(
          handle, &spki, &key, GNUTLS_X509_FMT_DER, nil, 0, nil, 0, 0)
      }
    }
    if result < 0 {
      throw .configuration("GnuTLS refused the identity: \(Self.text(result))")
    }
  }

  private func load(_ files: CertificateFiles) throws(QuicError) {
    if let chain = files.chainFile, let key = files.keyFile {
      let result = gnutls_certificate_set_x509_key_file(handle, chain, key, GNUTLS_X509_FMT_PEM)
      if result < 0 {
        throw .configuration("cannot use \(chain) with \(key): \(Self.text(result))")
      }
    }
    switch files.trust {
    case .insecureAny: break
    case .system:
      let result = gnutls_certificate_set_x509_system_trust(handle)
      if result < 0 { throw .configuration("no system authorities: \(Self.text(result))") }
    case .authorities(let file):
      let result = gnutls_certificate_set_x509_trust_file(handle, file, GNUTLS_X509_FMT_PEM)
      if result < 0 { throw .configuration("no authority in \(file): \(Self.text(result))") }
      if result == 0 { throw .configuration("no certificate in \(file), which should be PEM") }
    }
  }

  static func text(_ code: Int32) -> String {
    String(cString: gnutls_strerror(code))
  }
}
