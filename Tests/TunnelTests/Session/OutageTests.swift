import QuicTransport
import Simulation
import Testing

@testable import Tunnel

/// Sessions that outlive a network that is gone for a while.
@Suite("Outages")
struct OutageTests {
  private static func world(seed: UInt64 = 1) throws -> TunnelWorld {
    try TunnelWorld { options in
      options.seed = seed
      options.network.latency = .milliseconds(20)
      options.carriers = .only(.udp)
      options.shareSettings = SessionSettings.standard.endpointSettings(
        identity: TunnelWorld.shareIdentity, acceptsConnections: true)
      options.linkSettings = SessionSettings.standard.endpointSettings(
        identity: TunnelWorld.linkIdentity, acceptsConnections: false)
    }
  }

  /// A second, a minute, an hour, and the direction in which bytes are on their way.
  static let outages: [(Duration, Direction)] = [
    Duration.seconds(1), .seconds(60), .seconds(3_600),
  ].flatMap { time in Direction.allCases.map { (time, $0) } }

  enum Direction: CaseIterable, Sendable {
    case up
    case down
    case both
  }

  @Test(
    "after an outage in mid-transfer, bytes move again within a second, and none is wrong",
    arguments: outages)
  func transfer(outage: Duration, direction: Direction) throws {
    let world = try Self.world()
    try world.open()
    let payload = Payload.bytes(3_000_000, seed: 7)
    let program = world.connect()
    program.send([1])
    world.wait { world.targets.programs.first?.received == [1] }
    let target = world.targets.programs[0]
    if direction != .down { program.send(payload, finishing: true) }
    if direction != .up { target.send(payload, finishing: true) }
    world.loop.run(for: .milliseconds(150))
    world.cutNetwork()
    world.loop.run(for: outage)
    let before = program.received.count + target.received.count
    #expect(before < payload.count, "the transfer was over before the outage")
    world.mendNetwork()
    let mended = world.loop.now
    world.wait(.seconds(20)) { program.received.count + target.received.count > before }
    #expect(world.loop.now - mended < .seconds(1), "\(outage) \(direction)")
    if direction != .down {
      world.wait { target.sawEnd }
      #expect(Payload.difference(Array(target.received.dropFirst()), payload) == nil)
    }
    if direction != .up {
      world.wait { program.sawEnd }
      #expect(Payload.difference(program.received, payload) == nil)
    }
    #expect(world.errors.isEmpty)
    #expect(world.share.statistics.sessions == 1 && world.link.statistics.sessions == 1)
  }

  @Test("an outage is told after three seconds, once, and so is its end, with its length")
  func told() throws {
    let world = try Self.world()
    try world.open()
    let program = world.connect()
    program.send([1])
    world.wait { world.targets.programs.first?.received == [1] }
    world.cutNetwork()
    program.send([2])
    world.loop.run(for: .milliseconds(2_900))
    #expect(world.linkJournal.silences.isEmpty)
    world.loop.run(for: .seconds(9))
    #expect(world.linkJournal.silences.count == 1)
    #expect(world.linkJournal.returns.isEmpty)
    world.mendNetwork()
    world.wait(.seconds(2)) { world.targets.programs[0].received == [1, 2] }
    #expect(world.linkJournal.returns.count == 1)
    let time = try #require(world.linkJournal.returns.first)
    #expect(time >= .seconds(11) && time < .seconds(14))
    #expect(world.linkJournal.silences.count == 1)
  }

  @Test("an idle session says nothing for hours but a few probes, and is there at once")
  func idle() throws {
    let world = try Self.world()
    try world.open()
    world.loop.run(for: .seconds(10))
    let before = world.network.sentCount
    world.loop.run(for: .seconds(3_600))
    // A probe and its answer every 15 s from each side, a keep-alive in hours.
    let count = world.network.sentCount - before
    #expect(count >= 240 && count <= 1_100, "\(count) datagrams in an hour")
    #expect(world.linkJournal.silences.isEmpty && world.shareJournal.silences.isEmpty)
    world.targets.onAccept = { $0.echoes = true }
    let program = world.connect()
    program.send([9])
    world.wait(.seconds(1)) { program.received == [9] }
  }

  @Test("through an outage of an hour, a side sends a few small datagrams a second and no more")
  func quiet() throws {
    let world = try Self.world()
    try world.open()
    let program = world.connect()
    program.send(Payload.bytes(3_000_000, seed: 1))
    world.loop.run(for: .milliseconds(150))
    world.cutNetwork()
    world.loop.run(for: .seconds(60))
    let before = world.network.sentCount
    var bytes = 0
    world.network.onSend = { bytes += $0.bytes.count }
    world.loop.run(for: .seconds(3_600))
    let count = world.network.sentCount - before
    #expect(count < 5 * 3_600, "\(count) datagrams")
    #expect(bytes < 50 * count, "\(bytes) bytes in \(count) datagrams")
  }

  @Test("the idle timeout still ends a session that never comes back, at both ends")
  func forGood() throws {
    let world = try TunnelWorld()
    try world.open()
    let program = world.connect()
    program.send([1])
    world.wait { world.targets.programs.first?.received == [1] }
    world.cutNetwork()
    program.send([2])
    world.wait(.seconds(70)) {
      world.linkJournal.ends.count == 1 && world.shareJournal.ends.count == 1
    }
    #expect(world.linkJournal.ends == [.idleTimeout] && world.shareJournal.ends == [.idleTimeout])
    world.wait(.seconds(1)) { program.isOver && world.targets.programs[0].isOver }
  }

  @Test("a stranger that says nothing is sent away in seconds, however long sessions may be idle")
  func stranger() throws {
    let world = try Self.world()
    let stranger = try RawPeer(
      loop: world.loop, socket: world.network.bind(.otherHost), identity: .fixture(3),
      acceptsConnections: false)
    try stranger.dial(TunnelWorld.shareAddress, expecting: TunnelWorld.shareIdentity)
    world.wait(.seconds(10)) { stranger.error != nil }
    #expect(stranger.error?.applicationCode == TunnelCode.helloTimeout)
  }

  @Test("a change of the network brings a session back without waiting for a probe's time")
  func lookAgain() throws {
    let world = try Self.world()
    try world.open()
    world.loop.run(for: .seconds(20))
    let before = world.network.sentCount
    world.link.lookAgain()
    world.loop.run(for: .milliseconds(100))
    #expect(world.network.sentCount - before >= 2, "no probe, or no answer")
  }

  @Test("dormant sessions are bounded: those that are silent longest go first")
  func dormant() throws {
    let world = try Self.world()
    world.share.dormantMax = 4
    let start = world.loop.now
    let gone = try (0..<8).map { number in
      let peer = try RawPeer(
        loop: world.loop, socket: world.network.bind(.otherHost),
        identity: .fixture(UInt8(10 + number)), acceptsConnections: false
      ) { $0.transport.idleTimeout = SessionSettings.standard.idleTimeout }
      peer.onReady = { $0.greet() }
      world.loop.run(for: .milliseconds(50))
      try peer.dial(TunnelWorld.shareAddress, expecting: TunnelWorld.shareIdentity)
      return peer
    }
    world.wait { world.shareJournal.opened == 8 }
    // They answer no probes, so a second later they would be silent.
    #expect(world.loop.now - start < .seconds(1))
    world.network.configure(.otherHost, .serverHost) { $0.isBlackhole = true }
    world.loop.run(for: .seconds(120))
    #expect(
      world.shareJournal.ends.map(\.applicationCode)
        == [UInt64?](repeating: TunnelCode.dormant, count: 3))
    #expect(world.share.statistics.sessionsOpen == 5)
    // The one that was silent first is gone, the last one is not.
    let left = world.share.report.sessions.map(\.peer)
    #expect(!left.contains(Identity.fixture(10).publicKey))
    #expect(left.contains(Identity.fixture(17).publicKey))
    try world.open()
    #expect(world.shareJournal.ends.count == 4 && world.share.statistics.sessionsOpen == 5)
    #expect(gone.allSatisfy { $0.error == nil })
  }
}
