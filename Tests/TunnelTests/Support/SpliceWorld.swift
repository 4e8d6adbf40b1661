import QuicTransport
import Simulation
import Testing

@testable import Tunnel

/// Two splices with one QUIC connection between them, many times over: the middle of a tunnel
/// without headers and greetings.
final class SpliceWorld: ConnectionDelegate {
  let loop = SimLoop()
  let network: SimNetwork
  private let near: EndpointCore
  private let far: EndpointCore
  private(set) var connection: ConnectionCore?
  private(set) var flows: [Flow] = []
  private let capacity: Int
  private var isReady = false

  /// One local connection, spliced through to the other.
  final class Flow {
    /// The programs at both ends; the splice of `near` opened the stream.
    let near: LocalProgram
    let far: LocalProgram
    fileprivate let farSocket: SimStreamSocket
    fileprivate(set) var nearSplice: Splice?
    fileprivate(set) var farSplice: Splice?
    /// Every ending that was reported, which should be one.
    fileprivate(set) var nearEndings: [Splice.Ending] = []
    fileprivate(set) var farEndings: [Splice.Ending] = []

    fileprivate init(near: LocalProgram, far: LocalProgram, farSocket: SimStreamSocket) {
      self.near = near
      self.far = far
      self.farSocket = farSocket
    }

    var isOver: Bool { !nearEndings.isEmpty && !farEndings.isEmpty }
  }

  /// - Parameter capacity: bytes that a local connection buffers in each direction.
  init(
    seed: UInt64 = 1, capacity: Int = 65_536, link: LinkSettings = LinkSettings()
  ) throws {
    self.capacity = capacity
    network = SimNetwork(loop: loop, seed: seed, defaults: link)
    let settings = TunnelWorld.sessionSettings
    far = try EndpointCore(
      loop: loop,
      settings: settings.endpointSettings(
        identity: TunnelWorld.shareIdentity, acceptsConnections: true))
    near = try EndpointCore(
      loop: loop,
      settings: settings.endpointSettings(
        identity: TunnelWorld.linkIdentity, acceptsConnections: false))
    far.add(network.bind(TunnelWorld.shareAddress))
    near.add(network.bind(.clientHost))
    far.onIncoming = { [weak self] connection in connection.delegate = self }
    connection = try near.connect(
      to: ConnectTarget(
        address: TunnelWorld.shareAddress, expectedPeer: TunnelWorld.shareIdentity.publicKey,
        serverName: nil), delegate: self)
    try #require(loop.run(for: .seconds(5)) { isReady }, "no connection")
  }

  /// Connects two programs and waits until both splices run.
  func open() throws -> Flow {
    let (nearSocket, nearEnd) = SimStreamSocket.pair(
      loop: loop, capacity: capacity, latency: SimTargets.latency)
    let (farSocket, farEnd) = SimStreamSocket.pair(
      loop: loop, capacity: capacity, latency: SimTargets.latency)
    let flow = Flow(
      near: LocalProgram(nearEnd), far: LocalProgram(farEnd), farSocket: farSocket)
    flows.append(flow)
    let stream = try #require(try connection?.openStream(unidirectional: false))
    // The peer learns of a stream by its first byte, which stands for the flow's header.
    try stream.write([0])
    let splice = Splice(stream: stream, socket: nearSocket) { [weak flow] _, ending in
      flow?.nearEndings.append(ending)
    }
    flow.nearSplice = splice
    splice.start()
    wait { flow.farSplice != nil }
    return flow
  }

  /// Runs until `condition` holds.
  func wait(
    _ duration: Duration = .seconds(60), until condition: () -> Bool,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let holds = loop.run(for: duration, until: condition)
    #expect(holds, "still waiting after \(duration)", sourceLocation: sourceLocation)
  }

  func connectionReady(_ connection: ConnectionCore) {
    if connection === self.connection { isReady = true }
  }

  func connection(_ connection: ConnectionCore, opened stream: StreamCore) {
    guard let flow = flows.last else { return }
    stream.consume(1)
    let splice = Splice(stream: stream, socket: flow.farSocket) { [weak flow] _, ending in
      flow?.farEndings.append(ending)
    }
    flow.farSplice = splice
    splice.start()
  }

  func connectionAllowsStreams(_ connection: ConnectionCore) {}
  func connection(_ connection: ConnectionCore, received datagram: UnsafeRawBufferPointer) {}
  func connection(_ connection: ConnectionCore, closed error: QuicError) {}
}
