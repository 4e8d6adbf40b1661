import CNgtcp2
import Simulation
import Testing

@testable import QuicTransport

/// Forged answers to a client's first packet, whose keys anybody on the path can derive.
@Suite("Forged first answers")
struct FirstAnswerGuardTests {
  private func isSound(_ payload: [UInt8], packetsSent: UInt64 = 3) -> Bool {
    payload.withUnsafeBytes { InitialPayload.isSound($0, packetsSent: packetsSent) }
  }

  @Test(
    "what a server says in its Initial packets passes",
    arguments: [
      [], [0x00], [0x01], [0x00, 0x00, 0x01],
      [0x02, 0x00, 0x00, 0x00, 0x00], [0x02, 0x02, 0x05, 0x01, 0x00, 0x00, 0x00],
      [0x03, 0x02, 0x00, 0x00, 0x02, 0x01, 0x02, 0x03], [0x06, 0x00, 0x03, 5, 5, 5],
      [0x02, 0x00, 0x00, 0x00, 0x00, 0x06, 0x40, 0x80, 0x01, 5, 0x00],
      [0x1c, 0x01, 0x00, 0x00],
    ] as [[UInt8]])
  func sound(_ payload: [UInt8]) {
    #expect(isSound(payload))
  }

  @Test(
    "what no server says there does not",
    arguments: [
      // ACK of what was not sent, with ranges below zero, and that ends early.
      [0x02, 0x03, 0x00, 0x00, 0x00], [0x02, 0x80, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00],
      [0x02, 0x01, 0x00, 0x00, 0x02], [0x02, 0x02, 0x00, 0x01, 0x00, 0x02, 0x00],
      [0x02, 0x01, 0x00], [0x03, 0x01, 0x00, 0x00, 0x00, 0x01],
      // RFC 9000 §12.4
      [0x08, 0x00, 5], [0x1d, 0x00, 0x00], [0x1e], [0x1a, 1, 2, 3, 4, 5, 6, 7, 8], [0x40, 0x99],
      // CRYPTO that ends early, and far behind any hello.
      [0x06, 0x00, 0x03, 5], [0x06, 0x80, 0x10, 0x00, 0x00, 0x01, 5],
      // Behind something that is right.
      [0x01, 0x06, 0x00, 0x01, 5, 0x1e],
    ] as [[UInt8]])
  func unsound(_ payload: [UInt8]) {
    #expect(!isSound(payload))
  }

  @Test("a forged one leaves no trace; the server's own is taken")
  func noTrace() {
    var guardian = FirstAnswerGuard()
    let now = SimLoop.start
    let forged: [UInt8] = [0x02, 0x09, 0x00, 0x00, 0x00]
    let admitsForged = forged.withUnsafeBytes { guardian.admits($0, packetsSent: 1) }
    #expect(!admitsForged)
    for _ in 0..<2 { guardian.noteAnother(Self.source(1), now: now) }
    #expect(guardian.deadline == .distantFuture)
    let answer: [UInt8] = [0x02, 0x00, 0x00, 0x00, 0x00, 0x06, 0x00, 0x01, 2]
    let admitsAnswer = answer.withUnsafeBytes { guardian.admits($0, packetsSent: 1) }
    #expect(admitsAnswer)
    guardian.noteAnother(Self.source(1), now: now)
    guardian.noteAnother(Self.source(2), now: now)
    #expect(guardian.deadline == .distantFuture)
    for later in [0, 500] {
      guardian.noteAnother(Self.source(2), now: now + .milliseconds(later))
      #expect(guardian.deadline == now + .seconds(1))
    }
    guardian.noteProgress()
    for _ in 0..<2 { guardian.noteAnother(Self.source(1), now: now) }
    #expect(guardian.deadline == .distantFuture)
  }

  private static func source(_ byte: UInt8) -> ConnectionID {
    [UInt8](repeating: byte, count: 8).withUnsafeBytes { ConnectionID($0) }
  }

  @Test("wrong frames in an Initial do not reach ngtcp2 in a client, and do in a server")
  func roles() throws {
    let world = try World()
    let client = try #require(try world.dial().connection)
    world.loop.run(for: .milliseconds(6))
    let server = try #require(world.accepted.first?.connection)
    let payload: [UInt8] = [0x1e]
    func admits(_ connection: ConnectionCore, _ header: [UInt8]) -> Bool {
      payload.withUnsafeBytes { payload in
        header.withUnsafeBytes { connection.admits(payload, behind: $0) }
      }
    }
    let initial: [UInt8] = [0xc0, 0, 0, 0, 1, 0]
    let initialOfV2: [UInt8] = [0xd0, 0x6b, 0x33, 0x43, 0xcf, 0]
    #expect(!admits(client, initial) && !admits(client, initialOfV2))
    #expect(admits(client, [0xe0, 0, 0, 0, 1, 0]) && admits(server, initial))
  }

  /// Answers the client's first packet ahead of the server, as another server would.
  private func forge(in world: World) throws -> EndpointCore {
    let address = SocketAddress.otherHost.with(port: 4_433)
    let forger = try EndpointCore(
      loop: world.loop, settings: World.settings(.fixture(9), acceptsConnections: true))
    forger.add(world.network.bind(address))
    let server = world.serverSocket.localAddress
    world.network.configure(.clientHost, .otherHost) { $0.latency = .microseconds(100) }
    world.network.configure(.clientHost, .serverHost) { $0.latency = .milliseconds(5) }
    var isFirst = true
    world.network.onSend = { [weak network = world.network] datagram in
      if datagram.to == server, isFirst {
        isFirst = false
        network?.inject(datagram.bytes, from: datagram.from, to: address)
      } else if datagram.from == address, let initial = Self.initial(of: datagram.bytes) {
        world.loop.after(.milliseconds(1)) {
          Self.hand(initial, to: world)
        }
      }
    }
    return forger
  }

  /// Has the client receive a datagram as if the server had sent it.
  private static func hand(_ datagram: [UInt8], to world: World) {
    let path = NetworkPath(
      local: world.clientSocket.localAddress, remote: world.serverSocket.localAddress)
    datagram.withUnsafeBytes { bytes in
      world.clientSocket.receiver?.receive(
        ReceivedDatagram(bytes: bytes, path: path, ecn: .notCapable), now: world.loop.now)
    }
  }

  @Test("a source that was spoilt on the way is no other server")
  func spoilt() throws {
    let world = try World()
    let server = world.serverSocket.localAddress
    var answer: [UInt8]?
    world.network.onSend = { datagram in
      if datagram.from == server, answer == nil { answer = Self.initial(of: datagram.bytes) }
    }
    let client = try world.dial()
    world.loop.run(for: .milliseconds(1))
    world.network.configure(.clientHost, .serverHost) { $0.isBlackhole = true }
    world.wait { answer != nil }
    var initial = try #require(answer)
    Self.hand(initial, to: world)
    // Flags, version, the length of a destination and the destination, the length of a source.
    initial[1 + 4 + 1 + Int(initial[5]) + 1] ^= 0x20
    Self.hand(initial, to: world)
    world.loop.run(for: .seconds(2))
    world.network.configure(.clientHost, .serverHost) { $0.isBlackhole = false }
    world.wait(.seconds(10)) { client.isReady || client.isClosed }
    #expect(client.error == nil)
  }

  /// The Initial at the front of a datagram.
  private static func initial(of datagram: [UInt8]) -> [UInt8]? {
    var header = ngtcp2_pkt_hd()
    let count = ngtcp2_pkt_decode_hd_long(&header, datagram, datagram.count)
    guard count > 0, UInt32(header.type) == NGTCP2_PKT_INITIAL.rawValue else { return nil }
    return Array(datagram[..<(Int(count) + header.len)])
  }

  @Test("a first answer that leads nowhere is given up when the server's own is seen")
  func disputed() throws {
    let world = try World()
    let forger = try forge(in: world)
    let client = try world.dial()
    world.wait { client.isClosed }
    #expect(forger.connectionCount > 0)
    // The server's answer comes after one round trip, and once more when nothing came of it.
    let took = try #require(client.closedAt) - SimLoop.start
    #expect(took > .seconds(1) && took < .seconds(2))
    guard case .transport(code: 0, isRemote: false, _)? = client.error else {
      Issue.record("\(String(describing: client.error))")
      return
    }
    let (second, _) = try world.connect()
    #expect(second.error == nil)
  }
}
