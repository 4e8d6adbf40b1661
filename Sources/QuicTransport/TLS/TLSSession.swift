internal import CNgtcp2

/// What one connection's TLS 1.3 session is set up with.
struct TLSParameters {
  var credentials: Credentials
  /// Application protocols, most preferred first (RFC 7301).
  var applicationProtocols: [String]
  /// The server name that a client asks for, and checks an X.509 certificate against.
  var serverName: String?
  /// The identity that a client insists on.
  var expectedPeer: PublicKey?
  /// Which identities a server lets in.
  var acceptsPeer: (PublicKey) -> Bool
  /// Whether SSLKEYLOGFILE is honoured.
  var allowsKeyLog: Bool
  /// Seals session tickets; nil turns resumption off.
  var ticketKey: SecretBytes?
  /// A ticket from an earlier connection.
  var resumption: [UInt8]?
  /// Restricts the cipher suites, for interop tests; nil for all of RFC 9001 §5.3.
  var ciphers: String?
}

/// The owner of one GnuTLS session, configured for QUIC (RFC 9001).
final class TLSSession {
  let handle: gnutls_session_t
  /// Why we refused the peer, for the one who asked for the connection.
  private(set) var rejection: QuicError?
  /// The identity that the peer proved; set once verified.
  private(set) var peer: PublicKey?
  /// A ticket that the server sent, until it is taken.
  var newTicket: [UInt8]?

  /// Whose identity it shows.
  var credentials: Credentials { parameters.credentials }

  private let parameters: TLSParameters
  private let isServer: Bool
  private let reference: UnsafeMutablePointer<ngtcp2_crypto_conn_ref>

  /// - Parameter owner: is found again from GnuTLS's callbacks; it must own this session.
  init(_ parameters: TLSParameters, isServer: Bool, owner: ConnectionCore) throws(QuicError) {
    self.parameters = parameters
    self.isServer = isServer
    var handle: gnutls_session_t?
    let role = isServer ? GNUTLS_SERVER.rawValue : GNUTLS_CLIENT.rawValue
    let flags =
      UInt32(role) | UInt32(GNUTLS_ENABLE_RAWPK.rawValue)
      | UInt32(GNUTLS_NO_END_OF_EARLY_DATA.rawValue)
      | UInt32(GNUTLS_NO_AUTO_SEND_TICKET.rawValue) | UInt32(GNUTLS_NO_SIGNAL.rawValue)
    guard gnutls_init(&handle, flags) == 0, let handle else {
      throw .configuration("GnuTLS is out of memory")
    }
    self.handle = handle
    reference = .allocate(capacity: 1)
    reference.initialize(
      to: ngtcp2_crypto_conn_ref(
        get_conn: { ConnectionCore.from($0.unsafelyUnwrapped.pointee.user_data).handle },
        user_data: Unmanaged.passUnretained(owner).toOpaque()))
    gnutls_session_set_ptr(handle, reference)
    try configure()
  }

  deinit {
    gnutls_deinit(handle)
    reference.deallocate()
  }

  // MARK: Results

  /// The negotiated application protocol.
  var applicationProtocol: String? {
    var datum = gnutls_datum_t()
    guard gnutls_alpn_get_selected_protocol(handle, &datum) == 0 else { return nil }
    return String(
      decoding: UnsafeBufferPointer(start: datum.data, count: Int(datum.size)), as: UTF8.self)
  }

  var cipherName: String { String(cString: gnutls_cipher_get_name(gnutls_cipher_get(handle))) }

  var isResumed: Bool { gnutls_session_is_resumed(handle) != 0 }

  /// Keying material that only the two ends of this session know (RFC 8446 §7.5, RFC 5705).
  func exportKeyingMaterial(label: String, context: [UInt8], count: Int) -> [UInt8]? {
    var output = [CChar](repeating: 0, count: count)
    let contextBytes = context.map { CChar(bitPattern: $0) }
    let result = gnutls_prf_rfc5705(
      handle, label.utf8.count, label, contextBytes.count, contextBytes, count, &output)
    return result == 0 ? output.map { UInt8(bitPattern: $0) } : nil
  }

  /// Checks the peer again after the handshake: GnuTLS does not ask when it resumes a session, and
  /// an identity may have lost its place meanwhile (F9).
  func confirmPeer() -> Bool {
    judgePeer()
  }

  /// Sends one ticket for a later resumption.
  func sendTicket() {
    guard parameters.ticketKey != nil else { return }
    _ = gnutls_session_ticket_send(handle, 1, 0)
  }

  // MARK: Verification

  /// GnuTLS's question, in the middle of the handshake.
  static func verifyPeer(of session: gnutls_session_t) -> Bool {
    owner(of: session)?.tls?.judgePeer() ?? false
  }

  /// Finds the connection of a GnuTLS session in one of its callbacks.
  private static func owner(of session: gnutls_session_t) -> ConnectionCore? {
    guard let pointer = gnutls_session_get_ptr(session) else { return nil }
    let reference = pointer.assumingMemoryBound(to: ngtcp2_crypto_conn_ref.self)
    return ConnectionCore.from(reference.pointee.user_data)
  }

  private func judgePeer() -> Bool {
    switch parameters.credentials.authentication {
    case .rawPublicKey: judgeRawPublicKey()
    case .certificates(let files): judgeCertificate(files)
    }
  }

  private func judgeRawPublicKey() -> Bool {
    var count: UInt32 = 0
    guard let list = gnutls_certificate_get_peers(handle, &count), count == 1,
      let key = PublicKey(
        subjectPublicKeyInfo: UnsafeRawBufferPointer(
          start: list[0].data, count: Int(list[0].size)))
    else {
      rejection = .peerRejected("it presented no Ed25519 key")
      return false
    }
    if let expected = parameters.expectedPeer, expected != key {
      rejection = .identityMismatch(expected: expected, actual: key)
      return false
    }
    guard !isServer || parameters.acceptsPeer(key) else {
      rejection = .peerRejected("\(key) is not on the list")
      return false
    }
    peer = key
    return true
  }

  private func judgeCertificate(_ files: CertificateFiles) -> Bool {
    if case .insecureAny = files.trust { return true }
    if isServer, !files.requiresClientCertificate { return true }
    var status: UInt32 = 0
    let result = gnutls_certificate_verify_peers3(handle, parameters.serverName, &status)
    if result == 0, status == 0 { return true }
    var text = gnutls_datum_t()
    let reason =
      gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0) == 0
      ? String(
        decoding: UnsafeBufferPointer(start: text.data, count: Int(text.size)), as: UTF8.self)
      : Credentials.text(result)
    qtun_free_secret(&text)
    rejection = .peerRejected(reason)
    return false
  }
}

// MARK: - Configuration

extension TLSSession {
  private func configure() throws(QuicError) {
    guard parameters.credentials.priorities.apply(priority, to: handle) else {
      throw .configuration("GnuTLS refuses the cipher list '\(priority)'")
    }
    let result =
      isServer
      ? ngtcp2_crypto_gnutls_configure_server_session(handle)
      : ngtcp2_crypto_gnutls_configure_client_session(handle)
    let handles = gnutls_credentials_set(
      handle, GNUTLS_CRD_CERTIFICATE, UnsafeMutableRawPointer(parameters.credentials.handle))
    guard result == 0, handles == 0, setApplicationProtocols() else {
      throw .configuration("GnuTLS is out of memory")
    }
    // GnuTLS writes secrets to SSLKEYLOGFILE unless another function takes them.
    if !parameters.allowsKeyLog {
      gnutls_session_set_keylog_function(handle) { _, _, _ in 0 }
    }
    watchMessages()
    isServer ? configureServer() : configureClient()
  }

  private func configureServer() {
    let request: gnutls_certificate_request_t
    switch parameters.credentials.authentication {
    case .rawPublicKey: request = GNUTLS_CERT_REQUIRE
    case .certificates(let files):
      request = files.requiresClientCertificate ? GNUTLS_CERT_REQUIRE : GNUTLS_CERT_IGNORE
    }
    gnutls_certificate_server_set_request(handle, request)
    parameters.ticketKey?.withBytes { key in
      // SAFETY: GnuTLS copies the key during the call.
      let base = UnsafeMutablePointer(
        mutating: key.baseAddress?.assumingMemoryBound(to: UInt8.self))
      var datum = gnutls_datum_t(data: base, size: UInt32(key.count))
      _ = gnutls_session_ticket_enable_server(handle, &datum)
    }
  }

  private func configureClient() {
    // RFC 6066 §3: an IP address is no server name. The certificate must name it all the same.
    if let name = parameters.serverName, SocketAddress(name, port: 0) == nil {
      gnutls_server_name_set(handle, GNUTLS_NAME_DNS, name, name.utf8.count)
    }
    if let resumption = parameters.resumption {
      // A ticket that GnuTLS cannot use means a full handshake, nothing worse.
      _ = gnutls_session_set_data(handle, resumption, resumption.count)
    }
  }

  /// Has `received` hear of every message that GnuTLS has taken; there is room for one hook only.
  private func watchMessages() {
    gnutls_handshake_set_hook_function(
      handle, Self.everyMessage, Int32(GNUTLS_HOOK_POST)
    ) { session, type, _, isIncoming, _ in
      guard isIncoming != 0, let session else { return 0 }
      return TLSSession.received(type, on: session)
    }
  }

  /// GNUTLS_HANDSHAKE_ANY, whose definition Swift cannot read.
  private static let everyMessage = UInt32.max

  /// 0, or the error that GnuTLS shall end the handshake with.
  private static func received(_ type: UInt32, on session: gnutls_session_t) -> Int32 {
    guard let connection = owner(of: session) else { return GNUTLS_E_INTERNAL_ERROR }
    switch gnutls_handshake_description_t(rawValue: type) {
    // A server's extensions are behind its ServerHello; with its Finished they have been read.
    case GNUTLS_HANDSHAKE_CLIENT_HELLO, GNUTLS_HANDSHAKE_FINISHED:
      return judgeExtensions(of: connection)
    case GNUTLS_HANDSHAKE_NEW_SESSION_TICKET: connection.tls?.keepTicket()
    default: break
    }
    return 0
  }

  /// What neither library insists on (F12).
  ///
  /// A server of ngtcp2 1.11 that was shown no transport parameters asserts as soon as it answers,
  /// and GnuTLS goes on without an application protocol, mandatory or not.
  private static func judgeExtensions(of connection: ConnectionCore) -> Int32 {
    // RFC 9001 §8.2: the alert is missing_extension.
    guard ngtcp2_conn_get_remote_transport_params(connection.handle) != nil else {
      return GNUTLS_E_MISSING_EXTENSION
    }
    // RFC 9001 §8.1: the alert is no_application_protocol.
    return connection.applicationProtocol == nil ? GNUTLS_E_NO_APPLICATION_PROTOCOL : 0
  }

  private func keepTicket() {
    var datum = gnutls_datum_t()
    guard gnutls_session_get_data2(handle, &datum) == 0 else { return }
    newTicket = Array(UnsafeBufferPointer(start: datum.data, count: Int(datum.size)))
    qtun_free_secret(&datum)
  }

  private func setApplicationProtocols() -> Bool {
    let protocols = parameters.applicationProtocols.map { Array($0.utf8) }
    // SAFETY: GnuTLS copies the names during the call; `storage` outlives it.
    let storage = UnsafeMutableBufferPointer<UInt8>.allocate(
      capacity: protocols.reduce(1) { $0 + $1.count })
    defer { storage.deallocate() }
    var data: [gnutls_datum_t] = []
    var offset = 0
    for name in protocols {
      let (_, end) = storage[offset...].initialize(from: name)
      data.append(gnutls_datum_t(data: storage.baseAddress! + offset, size: UInt32(name.count)))
      offset = end
    }
    let mandatory = UInt32(GNUTLS_ALPN_MANDATORY.rawValue)
    return gnutls_alpn_set_protocols(handle, &data, UInt32(data.count), mandatory) == 0
  }

  /// RFC 9001 §8.4 forbids the TLS 1.3 compatibility mode. X25519 first, or GnuTLS 3.7 negotiates
  /// P-256.
  private var priority: String {
    var text = "%DISABLE_TLS13_COMPAT_MODE:NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:"
    text += parameters.ciphers ?? "+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305"
    text += ":-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1"
    if case .rawPublicKey = parameters.credentials.authentication {
      text += ":-CTYPE-ALL:+CTYPE-SRV-RAWPK:+CTYPE-CLI-RAWPK"
    }
    if isServer, parameters.ticketKey == nil { text += ":%NO_TICKETS" }
    return text
  }
}
