import QuicTransport
import Simulation

@testable import Tunnel

/// A node's connection to a relay, on the endpoint that its sessions use: registers or looks for
/// somebody, and takes the legs that it is given.
final class RelayGuest: ConnectionDelegate {
  let sockets: RelayedSockets
  /// Told of each leg.
  var onLeg: ((RelayedSocket) -> Void)?
  private(set) var heard: [RelayMessage] = []
  private let endpoint: EndpointCore
  private let registry: PathRegistry
  private let loop: SimLoop
  private let first: [RelayMessage]
  private var connection: ConnectionCore?
  private var control: MessageChannel<RelayMessage>?
  /// Answers the relay's questions about the path.
  private var paths: PathManager?

  /// - Parameter first: said after the greeting.
  init(
    endpoint: EndpointCore, registry: PathRegistry, loop: SimLoop, saying first: [RelayMessage]
  ) {
    self.endpoint = endpoint
    self.registry = registry
    self.loop = loop
    self.first = first
    sockets = RelayedSockets(endpoint: endpoint, registry: registry, loop: loop)
  }

  /// Dials over UDP, or over a carrier's path.
  func connect(to relay: SimRelay, over path: NetworkPath? = nil) throws {
    var target = ConnectTarget(
      address: relay.socket.localAddress, expectedPeer: SimRelay.identity.publicKey,
      serverName: nil)
    target.applicationProtocol = RelayCore.applicationProtocol
    connection =
      if let path {
        try endpoint.connect(to: target, over: path, delegate: self)
      } else {
        try endpoint.connect(to: target, delegate: self)
      }
    self.relay = relay.socket.localAddress
  }

  private var relay = SocketAddress.any

  func say(_ message: RelayMessage) { control?.send(message) }

  private func take(_ message: RelayMessage?) {
    guard let message else { return }
    heard.append(message)
    switch message {
    case .welcome: for message in first { say(message) }
    case .knock(let knock): say(.admit(introduction: knock.introduction))
    case .forwarding(.leg(_, let grant)):
      guard let connection else { return }
      let leg = sockets.add(grant, road: connection.currentPath, relay: relay)
      if let leg { onLeg?(leg) }
    default: break
    }
  }

  func connectionReady(_ connection: ConnectionCore) {
    guard let stream = try? connection.openStream(unidirectional: false) else { return }
    answerProbes(on: connection)
    control = MessageChannel(stream: stream) { [weak self] in self?.take($0) }
    say(.hello(.init(version: 1, capabilities: RelayMessage.forwards)))
  }

  private func answerProbes(on connection: ConnectionCore) {
    guard let keys = PathKeys(of: connection) else { return }
    let path = connection.currentPath
    let paths = PathManager(
      connection: connection, path: path, kind: CarrierKind(path), keys: keys,
      endpoint: endpoint, loop: loop)
    registry.add(paths)
    self.paths = paths
  }

  func connection(_ connection: ConnectionCore, opened stream: StreamCore) {}
  func connectionAllowsStreams(_ connection: ConnectionCore) {}
  func connection(_ connection: ConnectionCore, received datagram: UnsafeRawBufferPointer) {}
  func connection(_ connection: ConnectionCore, closed error: QuicError) {}
}
