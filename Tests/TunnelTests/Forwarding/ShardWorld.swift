import QuicTransport
import Simulation

@testable import Tunnel

/// The forwarding of a relay with several cores, all on one loop in virtual time: datagrams come in at
/// any of its sockets and are written down where they leave.
final class ShardWorld {
  let loop = SimLoop()
  let team: ForwardingTeam
  let desk: ForwardingDesk
  private(set) var shards: [ForwardingShard] = []
  /// By the number of their core; the first is the desk's.
  private(set) var sockets: [StubSocket] = []
  private(set) var left: [Departure] = []
  private(set) var foreign: [[UInt8]] = []
  private(set) var throttled: [ForwardedSession.LegID] = []
  private(set) var expired: [UInt32] = []
  private(set) var stopped: [Int] = []
  private let endpoint: EndpointCore
  private let registry: PathRegistry
  private let carriers: StubSocket

  /// A datagram that left.
  struct Departure {
    /// The core whose socket it left by; nil for a byte stream.
    let shard: Int?
    let header: RelayHeader
    let bytes: [UInt8]
    let path: NetworkPath
    let at: Instant
    var payload: [UInt8] { Array(bytes.dropFirst(RelayHeader.byteCount)) }
  }

  static let relay = SocketAddress.serverHost.with(port: 3_478)
  /// A node on a byte stream.
  static let carrier = PathLabel.carrier(5, kind: .tcp)

  init(cores: Int, limits: ForwardingLimits = ForwardingLimits()) throws {
    let loop = loop
    team = ForwardingTeam(desk: loop, others: (1..<cores).map { _ in loop })
    endpoint = try EndpointCore(
      loop: loop,
      settings: TunnelWorld.sessionSettings.endpointSettings(
        identity: .fixture(9), acceptsConnections: false))
    let registry = PathRegistry(endpoint: endpoint)
    self.registry = registry
    desk = ForwardingDesk(endpoint: endpoint, loop: loop, limits: limits, team: team)
    var note: (Int?, DatagramBatch) -> Void = { _, _ in }
    carriers = StubSocket(localAddress: Self.carrier.local) { note(nil, $0) }
    for number in 0..<cores {
      sockets.append(StubSocket(localAddress: Self.relay) { note(number, $0) })
    }
    let desk = desk
    registry.onRelayed = { [weak desk] in desk?.receive($0, now: $1) }
    endpoint.add(sockets[0])
    endpoint.add(carriers)
    for number in 1..<cores {
      shards.append(
        ForwardingShard(
          index: number, team: team, socket: sockets[number], loop: loop, limits: limits,
          onStop: { [weak self] in self?.stopped.append(number) }))
    }
    note = { [weak self] in self?.note($1, shard: $0) }
    registry.onOther = { [weak self] datagram, _ in self?.foreign.append(Array(datagram.bytes)) }
    desk.owner = self
  }

  private func note(_ batch: DatagramBatch, shard: Int?) {
    var offset = 0
    while offset < batch.bytes.count {
      let size = min(batch.segmentSize, batch.bytes.count - offset)
      let part = UnsafeRawBufferPointer(rebasing: batch.bytes[offset..<offset + size])
      offset += size
      guard let header = RelayHeader(part) else { continue }
      left.append(
        Departure(
          shard: shard, header: header, bytes: Array(part), path: batch.path, at: loop.now))
    }
  }

  static func party(
    _ identity: UInt8, port: UInt16, address: UInt64? = nil, path: NetworkPath? = nil
  ) -> ForwardingDesk.Party {
    ForwardingDesk.Party(
      identity: Identity.fixture(identity).publicKey,
      path: path ?? NetworkPath(local: relay, remote: .clientHost.with(port: port)),
      address: address ?? UInt64(port))
  }

  /// A session of two nodes of its own, both on UDP.
  func open(_ number: Int) throws -> SessionOrder {
    try desk.open(
      between: Self.party(UInt8(2 * number + 1), port: UInt16(1_000 + 2 * number)),
      and: Self.party(UInt8(2 * number + 2), port: UInt16(1_001 + 2 * number)), payer: nil)
  }

  func shard(of session: SessionOrder) -> Int {
    RelayHeader.shard(of: session.number, count: team.count)
  }

  /// A datagram arrives at the socket of a core; that of its session unless another is named.
  func send(
    _ payload: [UInt8], on session: SessionOrder, leg: Int = 0, at socket: Int? = nil,
    path: NetworkPath? = nil
  ) {
    let header = RelayHeader(
      kind: .data, sequence: 0, session: session.number, generation: session.legs[leg].generation)
    arrive(
      header.encoded + payload, at: socket ?? shard(of: session),
      path: path ?? session.legs[leg].path)
  }

  func arrive(_ bytes: [UInt8], at socket: Int, path: NetworkPath) {
    bytes.withUnsafeBytes {
      sockets[socket].receiver?.receive(
        ReceivedDatagram(bytes: $0, path: path, ecn: .capable0), now: loop.now)
    }
  }

  /// What left for a session.
  func departures(of session: SessionOrder) -> [Departure] {
    left.filter { $0.header.session == session.number }
  }

  func forgetDepartures() { left = [] }

  func run(_ duration: Duration = .milliseconds(1)) { loop.run(for: duration) }
}

extension ShardWorld: ForwardingOwner {
  func desk(_ desk: ForwardingDesk, throttled leg: ForwardedSession.LegID, to rate: Int) {
    throttled.append(leg)
  }

  func desk(_ desk: ForwardingDesk, expired session: UInt32) { expired.append(session) }
}
