import QuicTransport
import Simulation
import Testing

@testable import Tunnel

/// A session that changes its roads while flows are on it.
@Suite("Paths of a session")
struct PathManagerTests {
  /// 20 ms each way.
  private static func world(
    seed: UInt64 = 1, carriers: CarrierPolicy = .automatic
  ) throws -> TunnelWorld {
    try TunnelWorld { options in
      options.seed = seed
      options.network.latency = .milliseconds(20)
      options.tcpPasses = true
      options.carriers = carriers
    }
  }

  private static func carrier(_ world: TunnelWorld) -> CarrierKind? {
    world.link.statistics.path?.carrier
  }

  @Test("UDP blocked from the start: the session opens over TCP within 1.5 s")
  func blockedFromStart() throws {
    let world = try Self.world()
    world.cutNetwork()
    let start = world.loop.now
    try world.open()
    #expect(world.loop.now - start < .milliseconds(1_500))
    #expect(Self.carrier(world) == .tcp)
    let program = world.connect()
    program.send(Payload.bytes(100_000, seed: 1), finishing: true)
    world.wait { world.targets.programs.first?.sawEnd == true }
    #expect(
      Payload.difference(world.targets.programs[0].received, Payload.bytes(100_000, seed: 1)) == nil
    )
  }

  @Test("UDP that passes is used, and TCP is not even tried")
  func prefersUDP() throws {
    let world = try Self.world()
    try world.open()
    #expect(Self.carrier(world) == .udp)
    #expect(world.tcp.connections.isEmpty)
  }

  @Test(
    "UDP blocked in mid-transfer: every flow goes on over TCP, no byte is wrong, and the session returns",
    arguments: Seeds.all)
  func blockedInMidTransfer(seed: UInt64) throws {
    let world = try Self.world(seed: seed)
    try world.open()
    let payloads = (0..<20).map { Payload.bytes(400_000, seed: UInt64($0)) }
    let programs = payloads.map { payload in
      let program = world.connect()
      program.send(payload, finishing: true)
      return program
    }
    world.wait { world.targets.programs.count == programs.count }
    world.loop.run(for: .milliseconds(60))
    world.cutNetwork()
    let cut = world.loop.now
    world.wait(.seconds(5)) { Self.carrier(world) == .tcp }
    #expect(world.loop.now - cut < .milliseconds(2_500), "seed \(seed)")
    world.wait { world.targets.programs.allSatisfy(\.sawEnd) }
    let received = Set(world.targets.programs.map(\.received))
    #expect(received == Set(payloads), "seed \(seed)")
    world.mendNetwork()
    world.wait(.seconds(30)) { Self.carrier(world) == .udp }
    // And what is sent from now on arrives.
    let late = world.connect()
    late.send(payloads[0], finishing: true)
    world.wait { world.targets.programs.last?.sawEnd == true && world.targets.programs.count == 21 }
    #expect(Payload.difference(world.targets.programs[20].received, payloads[0]) == nil)
    #expect(world.errors.isEmpty)
  }

  @Test(
    "a TCP connection that falls silent is replaced within seconds, again and again",
    arguments: [CarrierKind.tcp, .webSocket])
  func silentConnection(kind: CarrierKind) throws {
    let world = try Self.world(carriers: .only(kind))
    try world.open()
    let program = world.connect()
    world.wait { world.targets.programs.count == 1 }
    var expected: [UInt8] = []
    for round in 0..<5 {
      world.tcp.freezeAll()
      let payload = Payload.bytes(100_000, seed: UInt64(round))
      expected += payload
      program.send(payload)
      world.wait(.seconds(6)) { world.targets.programs[0].received.count == expected.count }
    }
    #expect(world.targets.programs[0].received == expected)
    #expect(world.tcp.connections.count { !$0.isReleased } == 1)
    #expect(world.errors.isEmpty)
  }

  @Test(
    "what a doubt that passed has opened is closed again", arguments: [CarrierKind.tcp, .webSocket])
  func passingDoubt(kind: CarrierKind) throws {
    let world = try Self.world(carriers: .only(kind))
    try world.open()
    let program = world.connect()
    world.wait { world.targets.programs.count == 1 }
    var sent = 0
    // Other roads are asked for every three seconds at most, so not every doubt opens something.
    while world.tcp.connections.count == 1, sent < 40_000 {
      program.send(Payload.bytes(1_000, seed: 1))
      sent += 1_000
      world.tcp.holdAll(for: .milliseconds(450))
      world.loop.run(for: .milliseconds(530))
    }
    #expect(world.tcp.connections.count == 2)
    world.wait { world.targets.programs[0].received.count == sent }
    world.loop.run(for: .seconds(2))
    #expect(world.tcp.connections.count { !$0.isReleased } == 1)
    #expect(world.link.statistics.switches == 0 && world.errors.isEmpty)
  }

  @Test("a WebSocket carries a session as well, with large packets, and outlives its resets")
  func webSocket() throws {
    let world = try Self.world(carriers: .only(.webSocket))
    try world.open()
    #expect(Self.carrier(world) == .webSocket)
    #expect(world.share.statistics.path?.carrier == .webSocket)
    let payload = Payload.bytes(2_000_000, seed: 9)
    let program = world.connect()
    program.send(payload, finishing: true)
    world.wait { (world.targets.programs.first?.received.count ?? 0) > 500_000 }
    world.tcp.resetAll()
    world.wait { world.targets.programs.first?.sawEnd == true }
    #expect(Payload.difference(world.targets.programs[0].received, payload) == nil)
    #expect(Self.carrier(world) == .webSocket)
    #expect(world.errors.isEmpty)
  }

  @Test("where TCP does not come up, a session opens over one, and moves to one when UDP stops")
  func afterTCP() throws {
    for isBlockedFromStart in [true, false] {
      let world = try Self.world()
      // TCP is dialled first each time.
      world.tcp.refusalsLeft = 1
      if isBlockedFromStart { world.cutNetwork() }
      try world.open()
      if !isBlockedFromStart { world.cutNetwork() }
      world.wait(.seconds(12)) { Self.carrier(world) == .webSocket }
      let program = world.connect()
      program.send([1, 2, 3], finishing: true)
      world.wait { world.targets.programs.first?.received == [1, 2, 3] }
      world.mendNetwork()
      world.wait(.seconds(30)) { Self.carrier(world) == .udp }
      #expect(world.errors.isEmpty)
    }
  }

  @Test("a WebSocket is not even tried where TCP comes up")
  func prefersTCP() throws {
    let world = try Self.world()
    try world.open()
    world.cutNetwork()
    world.wait(.seconds(5)) { Self.carrier(world) == .tcp }
    world.loop.run(for: .seconds(20))
    #expect(world.tcp.connections.count == 1)
  }

  @Test("an idle session stays where it is")
  func idle() throws {
    let world = try Self.world()
    try world.open()
    world.loop.run(for: .seconds(300))
    #expect(Self.carrier(world) == .udp)
    #expect(world.link.statistics.switches == 0 && world.share.statistics.switches == 0)
    #expect(world.errors.isEmpty)
  }

  @Test("TCP connections that are reset every five seconds: flows survive")
  func resets() throws {
    let world = try Self.world(carriers: .only(.tcp))
    try world.open()
    let program = world.connect()
    world.wait { world.targets.programs.count == 1 }
    var expected: [UInt8] = []
    for round in 0..<12 {
      let payload = Payload.bytes(200_000, seed: UInt64(round))
      expected += payload
      program.send(payload)
      world.loop.run(for: .milliseconds(30))
      world.tcp.resetAll()
      world.loop.run(for: .seconds(5))
    }
    program.finish()
    world.wait { world.targets.programs[0].sawEnd }
    #expect(Payload.difference(world.targets.programs[0].received, expected) == nil)
    #expect(world.errors.isEmpty)
  }

  @Test("a carrier that breaks while something is sent on it does no harm")
  func breaksUnderSend() throws {
    let world = try Self.world(carriers: .only(.tcp))
    try world.open()
    for _ in 0..<20 {
      world.loop.run(for: .seconds(2))
      world.tcp.resetAll()
      world.share.lookAgain()
      world.link.lookAgain()
    }
    world.targets.onAccept = { $0.echoes = true }
    let program = world.connect()
    program.send([7])
    world.wait { program.received == [7] }
    #expect(world.errors.isEmpty)
  }

  @Test("a NAT gives the link another address: the share follows within a second")
  func rebinding() throws {
    let world = try Self.world()
    try world.open()
    let program = world.connect()
    let first = Payload.bytes(50_000, seed: 1)
    program.send(first)
    world.wait { world.targets.programs.first?.received.count == first.count }
    world.rebindLink(port: 60_000)
    let second = Payload.bytes(50_000, seed: 2)
    let moved = world.loop.now
    world.targets.programs[0].send(second)
    program.send(second)
    world.wait {
      world.targets.programs[0].received.count == 100_000 && program.received.count == 50_000
    }
    #expect(world.loop.now - moved < .seconds(2))
    #expect(program.received == second)
    #expect(world.share.statistics.path?.remote.port == 60_000)
    #expect(Self.carrier(world) == .udp)
  }

  @Test("a forged or altered path message gets no answer and changes nothing")
  func forged() throws {
    let world = try Self.world()
    try world.open()
    world.loop.run(for: .seconds(1))
    let before = world.shareEndpoint.connectionCount
    let session = try #require(world.link.openSession?.paths?.keys.session)
    let key = SecretBytes([UInt8](repeating: 7, count: 32))
    let stranger = world.network.bind(SocketAddress("203.0.113.9", port: 999)!)
    let ear = Ear()
    stranger.receiver = ear
    for type: PathMessage.MessageType in [.probe, .select, .complaint] {
      let message = PathMessage(type: type, session: session, number: 1, argument: 9)
      send(message.encoded(key: key), from: stranger)
    }
    send(Array(repeating: 0x2a, count: PathMessage.byteCount), from: stranger)
    world.loop.run(for: .seconds(1))
    #expect(ear.count == 0)
    #expect(world.shareEndpoint.connectionCount == before)
    #expect(world.share.statistics.switches == 0)
  }

  @Test("a path message that was copied draws nothing, wherever the copy comes from")
  func copied() throws {
    let world = try Self.world()
    var copies: [[UInt8]] = []
    world.network.onSend = { datagram in
      if datagram.bytes.first == PathMessage.firstByte { copies.append(datagram.bytes) }
    }
    try world.open()
    let program = world.connect()
    program.send([1])
    world.loop.run(for: .seconds(40))
    world.network.onSend = nil
    #expect(copies.count > 4)
    let stranger = world.network.bind(SocketAddress("203.0.113.9", port: 999)!)
    let ear = Ear()
    stranger.receiver = ear
    for bytes in copies { send(bytes, from: stranger) }
    world.loop.run(for: .seconds(1))
    #expect(ear.count == 0)
  }

  private func send(_ bytes: [UInt8], from socket: SimSocket) {
    bytes.withUnsafeBytes { bytes in
      _ = socket.send(
        DatagramBatch(
          bytes: bytes, segmentSize: bytes.count,
          path: NetworkPath(local: socket.localAddress, remote: TunnelWorld.shareAddress),
          ecn: .notCapable))
    }
  }

  private final class Ear: DatagramReceiver {
    var count = 0

    func receive(_ datagram: ReceivedDatagram, now: Instant) { count += 1 }
    func datagramSocketWritable(_ socket: any DatagramSocket) {}
  }
}
