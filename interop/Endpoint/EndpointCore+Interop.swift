import QuicTransport

extension EndpointCore {
  /// An endpoint with the certificates and settings that `environment` asks for; a server may rather
  /// be talked to at another address.
  static func interop(
    _ environment: InteropEnvironment, preferring address: PreferredAddress?, loop: EpollLoop
  ) throws(InteropError) -> EndpointCore {
    let directory = environment.certificatesDirectory
    let isServer = environment.role == .server
    let files = CertificateFiles(
      chainFile: isServer ? "\(directory)/cert.pem" : nil,
      keyFile: isServer ? "\(directory)/priv.key" : nil,
      trust: isServer ? .insecureAny : .authorities(file: "\(directory)/ca.pem"),
      requiresClientCertificate: false)
    var settings = EndpointSettings(
      authentication: environment.peerKeys.map { .rawPublicKey($0.identity) }
        ?? .certificates(files),
      applicationProtocols: [environment.httpVersion.rawValue],
      transport: TransportSettings(), acceptsConnections: isServer)
    settings.allowsKeyLog = environment.allowsKeyLog
    settings.transport.congestionControl = environment.congestionControl
    settings.transport.preferredAddress = address
    environment.testCase.adapt(&settings)
    do {
      return try EndpointCore(loop: loop, settings: settings)
    } catch {
      throw .failed(error.description)
    }
  }

  /// What is asked of the kernel for each direction of a socket.
  static let bufferBytes = 4 * 1024 * 1024
}

extension ConnectionCore {
  /// How the handshake went, for whoever reads the log.
  var summary: String {
    let version = version.map { String($0.number, radix: 16) } ?? "?"
    return "version=0x\(version) alpn=\(applicationProtocol ?? "-") cipher=\(cipherName) "
      + "resumed=\(isResumed)"
  }
}
