import Simulation

@testable import QuicTransport

/// A server and a client in virtual time, with real ngtcp2 and GnuTLS, on a network without faults.
final class FuzzWorld {
  let loop = SimLoop()
  let network: SimNetwork
  let client: EndpointCore
  private(set) var serverEnd: FuzzEnd?
  /// Bytes in datagrams that the server sent.
  private(set) var sentByServer = 0
  let clientSocket: SimSocket
  /// The datagrams that were sent last, both ways.
  private(set) var recent: [SimDatagram] = []

  private let server: EndpointCore
  private static let serverAddress = SocketAddress.serverHost.with(port: 4_433)
  private static let strangerAddress = SocketAddress.otherHost.with(port: 5_000)
  private static let recentMax = 16
  // Making an identity costs more than a whole run.
  private static let serverIdentity = Identity.fixture(1)
  private static let clientIdentity = Identity.fixture(2)

  init() throws {
    network = SimNetwork(loop: loop, seed: 1, defaults: LinkSettings())
    server = try EndpointCore(loop: loop, settings: Self.settings(Self.serverIdentity, true))
    client = try EndpointCore(loop: loop, settings: Self.settings(Self.clientIdentity, false))
    server.add(network.bind(Self.serverAddress))
    clientSocket = network.bind(.clientHost)
    client.add(clientSocket)
    network.onSend = { [weak self] in self?.note($0) }
    server.onIncoming = { [weak self] connection in
      let end = FuzzEnd()
      end.watch(connection)
      self?.serverEnd = end
    }
  }

  /// Lets go of everything: an endpoint and its loop hold each other while it lives.
  func end() {
    client.shutDown()
    server.shutDown()
    loop.run(for: .milliseconds(1))
  }

  /// A stranger sends this to the server.
  func throwAtServer(_ datagram: [UInt8]) {
    network.inject(datagram, from: Self.strangerAddress, to: Self.serverAddress)
    loop.run(for: .milliseconds(10))
  }

  /// Both ends of a connection that is ready.
  func connect() throws -> (client: FuzzEnd, server: FuzzEnd)? {
    let end = FuzzEnd()
    let target = ConnectTarget(
      address: Self.serverAddress, expectedPeer: Self.serverIdentity.publicKey, serverName: nil)
    end.watch(try client.connect(to: target, delegate: end))
    let isReady = loop.run(for: .seconds(5)) { end.isReady && serverEnd?.isReady == true }
    guard isReady, let serverEnd else { return nil }
    return (end, serverEnd)
  }

  /// Changes both directions between the two ends.
  func changeLinks(_ change: (inout LinkSettings) -> Void) {
    network.configure(.clientHost, .serverHost, change)
  }

  private func note(_ datagram: SimDatagram) {
    if datagram.from == Self.serverAddress { sentByServer += datagram.bytes.count }
    if recent.count == Self.recentMax { recent.removeFirst() }
    recent.append(datagram)
  }

  private static func settings(_ identity: Identity, _ accepts: Bool) -> EndpointSettings {
    EndpointSettings(
      authentication: .rawPublicKey(identity), applicationProtocols: ["qtun/1"],
      transport: TransportSettings(), acceptsConnections: accepts)
  }
}
