import QuicTransport

/// Fetches all files, on as many connections one after the other as the test case wants.
final class InteropClient {
  private let environment: InteropEnvironment
  private let loop: EpollLoop
  private let endpoint: EndpointCore
  private let target: ConnectTarget
  private var visits: ArraySlice<[RequestURL]>
  private var visit: Visit?
  private var isFirstVisit = true
  private var keyUpdate: KeyUpdate?
  private var pause: LoopTimer?
  private var outcome: InteropError?

  init(_ environment: InteropEnvironment, loop: EpollLoop) throws(InteropError) {
    self.environment = environment
    self.loop = loop
    let first = environment.requests[0]
    let addresses = try HostLookup.addresses(
      of: first.host, port: first.port, prefersIPv6: environment.testCase == .ipv6)
    guard environment.testCase != .ipv6 || !addresses[0].isIPv4 else {
      throw .failed("\(first.host) has no IPv6 address")
    }
    let peer = environment.peerKeys?.expectedPeer
    // RFC 7250 §3: a key is its own name.
    target = ConnectTarget(
      address: addresses[0], expectedPeer: peer, serverName: peer == nil ? first.host : nil)
    visits = environment.testCase.visits(environment.requests).filter { !$0.isEmpty }[...]
    endpoint = try EndpointCore.interop(environment, preferring: nil, loop: loop)
    do {
      endpoint.add(try UDPSocket(loop: loop, binding: .any, bufferBytes: EndpointCore.bufferBytes))
    } catch {
      throw .failed("cannot open a socket: \(error)")
    }
  }

  /// Begins; the loop stops when all is done.
  func start() {
    guard let requests = visits.popFirst() else {
      endpoint.shutDown()
      return loop.stop()
    }
    let downloads = Downloads(path: environment.downloadsDirectory)
    let list = FetchList(
      requests, downloads: downloads,
      onReady: { [unowned self] connection in ready(connection) },
      onEnd: { [unowned self] error in end(error) })
    let session: any FetchSession =
      switch environment.httpVersion {
      case .http09: HTTP09Client(list)
      case .http3: HTTP3Client(list)
      }
    do {
      let connection = try endpoint.connect(to: target, delegate: session)
      visit = Visit(session: session, connection: connection)
    } catch {
      end(.failed(error.description))
    }
  }

  /// How it went, once the loop has stopped.
  func result() throws(InteropError) {
    if let outcome { throw outcome }
  }

  // MARK: During a visit

  private func ready(_ connection: ConnectionCore) {
    Console.say("connected \(connection.summary)")
    if environment.testCase == .keyupdate {
      keyUpdate = KeyUpdate(of: connection, loop: loop)
    }
  }

  private func end(_ error: InteropError?) {
    outcome = judge(error)
    var delay = Duration.zero
    if outcome != nil {
      visits = []
    } else if !visits.isEmpty, environment.testCase != .hostile, let visit {
      // The session ticket comes without an event of its own; give it a few round trips.
      delay = Self.ticketDelay + visit.connection.statistics.smoothedRTT * 3
    }
    // Never at once: the connection is in the middle of telling its delegates.
    let timer = LoopTimer { [unowned self] _ in
      leave()
      start()
    }
    pause = timer
    loop.schedule(timer, at: loop.now + delay)
  }

  private func leave() {
    isFirstVisit = false
    keyUpdate = nil
    guard let visit else { return }
    self.visit = nil
    visit.session.close(visit.connection)
  }

  /// What an end means for the test case.
  private func judge(_ error: InteropError?) -> InteropError? {
    if environment.testCase == .versionnegotiation {
      if case .connectionLost(.versionMismatch)? = error { return nil }
      return .failed("the server did not answer with Version Negotiation")
    }
    if let error {
      guard environment.testCase == .hostile else { return error }
      Console.say("visit failed: \(error.description)")
      return nil
    }
    return visit.flatMap { check($0.connection) }
  }

  /// Whether the connection did what the test case is about, as far as this side can tell.
  private func check(_ connection: ConnectionCore) -> InteropError? {
    switch environment.testCase {
    case .v2 where connection.version != .v2: .failed("the server did not upgrade to QUIC v2")
    case .chacha20 where connection.cipherName != "CHACHA20-POLY1305":
      .failed("the cipher is \(connection.cipherName)")
    case .resumption where connection.isResumed == isFirstVisit:
      .failed("the second connection did not resume the session of the first")
    case .keyupdate where keyUpdate?.isDone != true: .failed("the keys were not updated")
    default: nil
    }
  }

  private struct Visit {
    let session: any FetchSession
    let connection: ConnectionCore
  }

  private static let ticketDelay = Duration.milliseconds(20)
}
