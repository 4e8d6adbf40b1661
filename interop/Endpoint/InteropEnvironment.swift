import QuicTransport

/// What the environment asks for.
///
/// The names without prefix are quic-interop-runner's; the others move to a temporary folder and a
/// free port what is fixed inside of its containers.
///
///     ROLE             client | server
///     TESTCASE         see `TestCase`
///     REQUESTS         client: URLs, separated by spaces
///     SSLKEYLOGFILE    where GnuTLS writes TLS secrets
///     QTUN_WWW         server: the files to serve                      /www
///     QTUN_DOWNLOADS   client: where files go                          /downloads
///     QTUN_CERTS       cert.pem and priv.key (server), ca.pem (client) /certs
///     QTUN_ADDRESS     server: the address to listen on                ::
///     QTUN_PORT        server: the port, 0 for a free one              443
///     QTUN_CONGESTION  cubic or bbr                                    bbr
///     QTUN_ALPN        hq-interop or h3, instead of the test case's    by test case
///     QTUN_IDENTITY    a PKCS #8 file with an Ed25519 key: raw public  certificates
///                      keys on both sides instead of certificates
///     QTUN_PEER        client, with QTUN_IDENTITY: the server's public key in hexadecimal
struct InteropEnvironment {
  let role: Role
  let testCase: TestCase
  let requests: [RequestURL]
  let wwwDirectory: String
  let downloadsDirectory: String
  let certificatesDirectory: String
  /// Raw public keys, instead of what is in the directory of certificates.
  let peerKeys: PeerKeys?
  let listenAddress: SocketAddress
  let httpVersion: HTTPVersion
  let congestionControl: CongestionControl
  /// SSLKEYLOGFILE is set.
  let allowsKeyLog: Bool
  /// QLOGDIR is set.
  let ignoresQlog: Bool

  /// Reads and checks everything that the role needs.
  init(_ variable: (String) -> String?) throws(InteropError) {
    func value(_ name: String, default fallback: String) -> String {
      guard let value = variable(name), !value.isEmpty else { return fallback }
      return value
    }
    // The test case comes first: the runner probes with an unknown one and little else.
    let name = value("TESTCASE", default: "")
    guard !name.isEmpty else { throw .failed("TESTCASE must name a test case") }
    testCase = try TestCase(named: name)
    guard let role = Role(rawValue: value("ROLE", default: "")) else {
      throw .failed("ROLE must be client or server")
    }
    self.role = role
    guard let port = UInt16(value("QTUN_PORT", default: "443")) else {
      throw .failed("QTUN_PORT must be a port number")
    }
    guard let address = SocketAddress(value("QTUN_ADDRESS", default: "::"), port: port) else {
      throw .failed("QTUN_ADDRESS must be an IP address")
    }
    listenAddress = address
    guard
      let version = HTTPVersion(
        rawValue: value("QTUN_ALPN", default: testCase.httpVersion.rawValue))
    else { throw .failed("QTUN_ALPN must be hq-interop or h3") }
    httpVersion = version
    let congestion = value("QTUN_CONGESTION", default: "bbr")
    guard ["cubic", "bbr"].contains(congestion) else {
      throw .failed("QTUN_CONGESTION must be cubic or bbr")
    }
    congestionControl = congestion == "bbr" ? .bbr : .cubic
    wwwDirectory = value("QTUN_WWW", default: "/www")
    downloadsDirectory = value("QTUN_DOWNLOADS", default: "/downloads")
    certificatesDirectory = value("QTUN_CERTS", default: "/certs")
    peerKeys = try Self.readPeerKeys(variable, role)
    allowsKeyLog = variable("SSLKEYLOGFILE") != nil
    ignoresQlog = variable("QLOGDIR") != nil
    requests = try Self.parseRequests(value("REQUESTS", default: ""), role)
  }

  private static func readPeerKeys(
    _ variable: (String) -> String?, _ role: Role
  ) throws(InteropError) -> PeerKeys? {
    guard let file = variable("QTUN_IDENTITY") else { return nil }
    return try PeerKeys(
      identityFile: file, peer: role == .client ? variable("QTUN_PEER") ?? "" : nil)
  }

  private static func parseRequests(
    _ text: String, _ role: Role
  ) throws(InteropError) -> [RequestURL] {
    guard role == .client else { return [] }
    var requests: [RequestURL] = []
    for word in text.split(separator: " ") {
      guard let url = RequestURL(word) else {
        throw .failed("REQUESTS holds '\(word)', which is not an https URL of a file")
      }
      requests.append(url)
    }
    guard let first = requests.first else { throw .failed("REQUESTS names no file") }
    guard requests.allSatisfy({ $0.host == first.host && $0.port == first.port }) else {
      throw .failed("REQUESTS names more than one server")
    }
    return requests
  }

  /// Which side this process plays.
  enum Role: String {
    case client
    case server
  }
}
