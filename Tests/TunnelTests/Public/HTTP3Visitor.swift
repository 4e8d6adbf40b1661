import QuicTransport
import Simulation

/// A browser, as far as HTTP/3 goes: one connection, and requests on it.
final class HTTP3Visitor: ConnectionDelegate, StreamDelegate {
  private let loop: SimLoop
  private let endpoint: EndpointCore
  private(set) var connection: ConnectionCore?
  private(set) var error: QuicError?
  private var session: HTTP3Session?
  private var exchanges: [StreamID: Exchange] = [:]
  /// What the relay said of the first request that it does not see (GOAWAY).
  private(set) var refusals: [Int64] = []

  /// A request, and what came of it.
  final class Exchange: HTTP3Body {
    fileprivate(set) var stream: StreamCore?
    fileprivate(set) var heads: [[HTTP3Field]] = []
    fileprivate(set) var body: [UInt8] = []
    fileprivate(set) var isComplete = false
    fileprivate(set) var resetCode: UInt64?
    fileprivate(set) var stopCode: UInt64?
    /// While false, the answer stays in its stream.
    var reads = true
    /// nghttp3 does not know of the request, so the answer stays as it comes.
    fileprivate var isRaw = false
    private var rest: ArraySlice<UInt8>
    /// What left of the request's body.
    private(set) var sentCount = 0

    fileprivate init(_ body: [UInt8]) {
      rest = body[...]
    }

    var status: String? { heads.last?.first?.text }

    func read(into buffer: UnsafeMutableRawBufferPointer) -> HTTP3BodyPart {
      let part = rest.prefix(buffer.count)
      buffer.copyBytes(from: part)
      rest = rest.dropFirst(part.count)
      sentCount += part.count
      return .bytes(part.count, isLast: rest.isEmpty)
    }
  }

  /// - Parameter keepsAlive: by PINGs; else it forgets an idle connection after half a minute.
  init(
    _ world: PublicWorld, host: SocketAddress = .otherHost, keepsAlive: Bool = false
  ) throws {
    loop = world.loop
    var transport = TransportSettings()
    transport.streamWindowInitial = 64 * 1024
    transport.streamWindowMax = 64 * 1024
    if keepsAlive { transport.keepAliveInterval = .seconds(5) }
    endpoint = try EndpointCore(
      loop: loop,
      settings: EndpointSettings(
        authentication: .certificates(
          QuicTransport.CertificateFiles(
            chainFile: nil, keyFile: nil,
            trust: .authorities(
              file: SourceFile.path("Tests/QuicTransportTests/Fixtures/authority.pem")),
            requiresClientCertificate: false)),
        applicationProtocols: ["h3"], transport: transport, acceptsConnections: false))
    endpoint.add(world.network.bind(host))
    connection = try endpoint.connect(
      to: ConnectTarget(
        address: PublicWorld.tlsDoor, expectedPeer: nil, serverName: "server.test"),
      delegate: self)
    _ = loop.run(for: .seconds(5)) { session != nil || error != nil }
  }

  var isReady: Bool { session != nil }

  /// Sends a request; `fields` follow the usual ones.
  func ask(
    _ path: String = "/", host: String = "server.test", method: String = "GET",
    fields: [HTTP3Field] = [], body: [UInt8]? = nil
  ) throws -> Exchange {
    let exchange = Exchange(body ?? [])
    let stream = try open(exchange)
    session?.submitRequest(
      on: stream,
      [
        HTTP3Field(":method", method), HTTP3Field(":scheme", "https"),
        HTTP3Field(":authority", host), HTTP3Field(":path", path),
      ] + fields, body: body == nil ? nil : exchange)
    return exchange
  }

  /// Opens a request's stream and writes these bytes to it, whatever they are. The answer's frames are in
  /// its `body`.
  func open(saying bytes: [UInt8]) throws -> Exchange {
    let exchange = Exchange([])
    let stream = try open(exchange)
    session?.opened(stream)
    exchange.isRaw = true
    try stream.write(bytes)
    return exchange
  }

  private func open(_ exchange: Exchange) throws -> StreamCore {
    guard let connection else { throw StreamError.alreadyClosed }
    let stream = try connection.openStream(unidirectional: false)
    stream.delegate = self
    exchange.stream = stream
    exchanges[stream.id] = exchange
    return stream
  }

  /// Reads on where reading was off.
  func resume(_ exchange: Exchange) {
    exchange.reads = true
    exchange.stream.map(streamReadable)
  }

  func cancel(_ exchange: Exchange) {
    exchange.stream.map { session?.abandon($0, .requestCancelled) }
  }

  func close() { session?.close() }

  /// Vanishes.
  func shutDown() { endpoint.shutDown() }

  // MARK: Delegates

  func connectionReady(_ connection: ConnectionCore) {
    let session = HTTP3Session(connection)
    session.start(delegate: self)
    self.session = session
  }

  func connection(_ connection: ConnectionCore, opened stream: StreamCore) {
    stream.delegate = self
    session?.opened(stream)
  }

  func connectionAllowsStreams(_ connection: ConnectionCore) {}
  func connection(_ connection: ConnectionCore, received datagram: UnsafeRawBufferPointer) {}
  func connection(_ connection: ConnectionCore, closed error: QuicError) { self.error = error }

  func streamReadable(_ stream: StreamCore) {
    let exchange = exchanges[stream.id]
    if let exchange, exchange.isRaw {
      let count = stream.withReadablePieces(limit: 1000) { pieces in
        for piece in pieces { exchange.body += piece }
        return pieces.reduce(0) { $0 + $1.count }
      }
      return stream.consume(count)
    }
    session?.readable(stream, while: { exchange?.reads ?? true }) { event in
      switch event {
      case .fields(let id, let fields, _): exchanges[id]?.heads.append(fields)
      case .data(let id, let bytes): exchanges[id]?.body += bytes
      case .end(let id): exchanges[id]?.isComplete = true
      case .refused(let first): refusals.append(first.number)
      case .oversized, .stopSending, .resetStream: break
      }
    }
  }

  func streamWritable(_ stream: StreamCore) { session?.writable(stream) }

  func streamReset(_ stream: StreamCore, code: UInt64) {
    exchanges[stream.id]?.resetCode = code
    session?.reset(stream)
  }

  func streamStopped(_ stream: StreamCore, code: UInt64) {
    exchanges[stream.id]?.stopCode = code
    session?.stopped(stream)
  }

  func streamClosed(_ stream: StreamCore, error: QuicError?) { session?.closed(stream) }
}
