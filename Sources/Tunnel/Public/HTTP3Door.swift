internal import QuicTransport

/// The UDP side of the port where HTTPS ends at the relay: answers HTTP/3 (RFC 9114) with the same
/// certificate and for the same hosts. On the loop.
///
/// A request is handed on as a connection of HTTP/1.1, so everything that holds for visitors by
/// HTTP/1.1 (rights, limits, how shares are found and asked) holds for these without being said again.
final class HTTP3Door {
  /// Where it listens.
  let address: SocketAddress
  private let endpoint: EndpointCore
  private let certificate: PublicCertificate
  private let loop: any EventLoop
  private var shown: TLSStreamCredentials
  private var visits: [ObjectIdentifier: HTTP3Visit] = [:]
  private var sources = SourceTally()
  /// Whether the host is one that the relay serves by HTTPS itself.
  let serves: (String) -> Bool
  /// Takes over a request.
  let deliver: (any StreamSocket, SocketAddress, SocketAddress) -> Void

  /// - Parameters:
  ///   - socket: is the door's from now on.
  ///   - limits: for visitors who have not said yet whom they want; a connection that holds no request
  ///     is one of these.
  /// - Throws: `.configuration`.
  init(
    _ socket: any DatagramSocket, certificate: PublicCertificate, files: CertificateFiles,
    limits: PublicLimits, loop: any EventLoop,
    serves: @escaping (String) -> Bool,
    deliver: @escaping (any StreamSocket, SocketAddress, SocketAddress) -> Void
  ) throws(QuicError) {
    address = socket.localAddress
    self.certificate = certificate
    self.loop = loop
    self.serves = serves
    self.deliver = deliver
    shown = certificate.current()
    endpoint = try EndpointCore(loop: loop, settings: Self.settings(files, limits))
    endpoint.show(shown)
    endpoint.add(socket)
    endpoint.admits = { [weak self] path in
      self?.admits(path, perSource: limits.undecidedPerSourceMax) ?? false
    }
    endpoint.onIncoming = { [weak self] connection in self?.accept(connection) }
  }

  /// What tells a visitor by HTTPS of it (RFC 7838 §3).
  var advertisement: String { "h3=\":\(address.port)\"; ma=3600" }

  /// Breaks off every visit, which hears which requests were not seen, and releases the socket.
  func close() {
    for visit in Array(visits.values) { visit.close() }
    endpoint.close(code: HTTP3Code.noError.rawValue, reason: "")
  }

  private func admits(_ path: NetworkPath, perSource: Int) -> Bool {
    let current = certificate.current()
    if current !== shown {
      shown = current
      endpoint.show(current)
    }
    return sources.count(of: path.remote) < perSource
  }

  private func accept(_ connection: ConnectionCore) {
    let path = connection.currentPath
    let visit = HTTP3Visit(connection, path: path, door: self, loop: loop)
    connection.delegate = visit
    visits[ObjectIdentifier(visit)] = visit
    sources.add(path.remote)
  }

  func ended(_ visit: HTTP3Visit, from source: SocketAddress) {
    guard visits.removeValue(forKey: ObjectIdentifier(visit)) != nil else { return }
    sources.remove(source)
  }

  private static func settings(
    _ files: CertificateFiles, _ limits: PublicLimits
  ) -> EndpointSettings {
    var transport = TransportSettings()
    transport.idleTimeout = .seconds(60)
    // RFC 9114 §6.1 asks for 100; each request is a visitor.
    transport.bidirectionalStreamsMax = 100
    // RFC 9114 §6.2: control, two for QPACK, and some that nobody knows yet.
    transport.unidirectionalStreamsMax = 8
    // What a request may send before its share takes any of it. Uploads grow it.
    transport.streamWindowInitial = 64 * 1024
    transport.streamWindowMax = 1024 * 1024
    transport.connectionWindowInitial = 256 * 1024
    transport.connectionWindowMax = 4 * 1024 * 1024
    transport.stalledBytesMax = 4 * 1024 * 1024
    transport.datagramSizeMax = 0
    var settings = EndpointSettings(
      authentication: .certificates(
        QuicTransport.CertificateFiles(
          chainFile: files.certificate, keyFile: files.key, trust: .insecureAny,
          requiresClientCertificate: false)),
      applicationProtocols: ["h3"], transport: transport, acceptsConnections: true)
    settings.handshakesMax = limits.undecidedMax
    settings.connectionsMax = limits.visitsByHTTP3Max
    return settings
  }
}
