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
    let address = environment.listenAddress
    var sockets = [try Self.listen(on: address, loop)]
    var preferredAddress: PreferredAddress?
    if environment.testCase == .connectionmigration {
      // Clients shall see another port, and need not come by another road.
      let port = address.port == 0 ? 0 : address.port &+ 1
      let other = try Self.listen(on: address.with(port: port), loop)
      sockets.append(other)
      preferredAddress = Self.preferredAddress(at: other.localAddress)
      guard preferredAddress != nil else { throw .failed("no interface has an address") }
    }
    endpoint = try EndpointCore.interop(environment, preferring: preferredAddress, loop: loop)
    for socket in sockets { endpoint.add(socket) }
    endpoint.onIncoming = { [unowned self] connection in accept(connection) }
    Console.say("listening on \(endpoint.localAddresses[0])")
  }

  private static func listen(
    on address: SocketAddress, _ loop: EpollLoop
  ) throws(InteropError) -> UDPSocket {
    do {
      return try UDPSocket(loop: loop, binding: address, bufferBytes: EndpointCore.bufferBytes)
    } catch {
      throw .failed("cannot listen on \(address): \(error)")
    }
  }

  /// Where the socket that is bound to `local` can be reached from elsewhere.
  private static func preferredAddress(at local: SocketAddress) -> PreferredAddress? {
    guard local.isUnspecified else { return PreferredAddress(of: [local]) }
    let addresses = NetworkInterfaces.addresses()
      .filter { !$0.isLoopback && !$0.isLinkLocal && ($0.isIPv4 || !local.isIPv4) }
    return PreferredAddress(of: addresses.map { $0.with(port: local.port) })
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
