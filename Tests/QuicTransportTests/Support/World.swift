import Simulation
import Testing

@testable import QuicTransport

/// A server and a client on a simulated network, with real ngtcp2 and GnuTLS in both.
final class World {
  static let serverIdentity = Identity.fixture(1)
  static let clientIdentity = Identity.fixture(2)

  let loop = SimLoop()
  let network: SimNetwork
  let serverSocket: SimSocket
  let clientSocket: SimSocket
  private(set) var server: EndpointCore
  let client: EndpointCore
  /// One per accepted connection.
  private(set) var accepted: [ConnectionProbe] = []
  /// Called for each accepted connection before its first event.
  var onAccepted: ((ConnectionProbe) -> Void)?
  private let serverSettings: EndpointSettings

  /// How a world differs from the plain one.
  struct Options {
    var seed: UInt64 = 1
    var link = LinkSettings()
    var server = World.settings(World.serverIdentity, acceptsConnections: true)
    var client = World.settings(World.clientIdentity, acceptsConnections: false)
    var serverHost = SocketAddress.serverHost
    var clientHost = SocketAddress.clientHost

    /// Changes both sides' transport settings.
    mutating func transport(_ change: (inout TransportSettings) -> Void) {
      change(&server.transport)
      change(&client.transport)
    }
  }

  init(_ configure: (inout Options) -> Void = { _ in }) throws {
    var options = Options()
    configure(&options)
    network = SimNetwork(loop: loop, seed: options.seed, defaults: options.link)
    serverSocket = network.bind(options.serverHost.with(port: 4_433))
    clientSocket = network.bind(options.clientHost)
    serverSettings = options.server
    server = try EndpointCore(loop: loop, settings: options.server)
    client = try EndpointCore(loop: loop, settings: options.client)
    server.add(serverSocket)
    client.add(clientSocket)
    welcome(on: server)
  }

  static func settings(_ identity: Identity, acceptsConnections: Bool) -> EndpointSettings {
    EndpointSettings(
      authentication: .rawPublicKey(identity), applicationProtocols: ["qtun/1"],
      transport: TransportSettings(), acceptsConnections: acceptsConnections)
  }

  /// Dials; nothing happened yet when it returns.
  func dial(expecting identity: Identity = World.serverIdentity) throws -> ConnectionProbe {
    try dial(
      ConnectTarget(
        address: serverSocket.publicAddress, expectedPeer: identity.publicKey, serverName: nil))
  }

  func dial(_ target: ConnectTarget) throws -> ConnectionProbe {
    let probe = ConnectionProbe(loop: loop)
    probe.watch(try client.connect(to: target, delegate: probe))
    return probe
  }

  /// Dials and runs until both sides are ready.
  func connect() throws -> (client: ConnectionProbe, server: ConnectionProbe) {
    let before = accepted.count
    let client = try dial()
    // A corrupted Initial may have begun another one, which ends at once.
    var server: ConnectionProbe?
    let isReady = loop.run(for: .seconds(10)) {
      server = accepted.dropFirst(before).first { $0.isReady }
      return client.isReady && server != nil
    }
    try #require(isReady, "not connected: \(String(describing: client.error))")
    return (client, try #require(server))
  }

  /// The server process dies and another one takes its place on the same address.
  func restartServer() throws {
    let address = serverSocket.localAddress
    server.shutDown()
    server = try EndpointCore(loop: loop, settings: serverSettings)
    server.add(network.bind(address))
    welcome(on: server)
  }

  /// Runs until `condition` holds.
  func wait(
    _ duration: Duration = .seconds(60), until condition: () -> Bool,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let holds = loop.run(for: duration, until: condition)
    #expect(holds, "still waiting after \(duration)", sourceLocation: sourceLocation)
  }

  private func welcome(on endpoint: EndpointCore) {
    endpoint.onIncoming = { [weak self] connection in
      guard let self else { return }
      let probe = ConnectionProbe(loop: loop)
      probe.watch(connection)
      accepted.append(probe)
      onAccepted?(probe)
    }
  }
}
