import QuicTransport

/// Listens, and serves files on every connection until the process is killed.
final class InteropServer {
  private let endpoint: EndpointCore
  private let root: DocumentRoot
  private let httpVersion: HTTPVersion
  /// Connections hold their delegates weakly.
  private var sessions: [ObjectIdentifier: any ConnectionDelegate] = [:]

  init(_ environment: InteropEnvironment, loop: EpollLoop) throws(InteropError) {
    root = try DocumentRoot(environment.wwwDirectory)
    httpVersion = environment.httpVersion
    endpoint = try EndpointCore.interop(environment, loop: loop)
    do {
      endpoint.add(
        try UDPSocket(
          loop: loop, binding: environment.listenAddress, bufferBytes: EndpointCore.bufferBytes))
    } catch {
      throw .failed("cannot listen on \(environment.listenAddress): \(error)")
    }
    endpoint.onIncoming = { [unowned self] connection in accept(connection) }
    Console.say("listening on \(endpoint.localAddresses[0])")
  }

  private func accept(_ connection: ConnectionCore) {
    let key = ObjectIdentifier(connection)
    let forget = { [unowned self] in sessions[key] = nil }
    let session: any ConnectionDelegate =
      switch httpVersion {
      case .http09: HTTP09Server(root: root, onClosed: forget)
      case .http3: HTTP3Server(root: root, onClosed: forget)
      }
    sessions[key] = session
    connection.delegate = session
  }
}
