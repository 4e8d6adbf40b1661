import QuicTransport
import Simulation
import Testing

@testable import Tunnel

/// NATs that give a flow another port in the middle of it.
@Suite("Ports that change under a session", .timeLimit(.minutes(2)))
struct RebindingTests {
  private static let latency = Duration.milliseconds(20)

  private static func world(seed: UInt64 = 1) throws -> TunnelWorld {
    try TunnelWorld { options in
      options.seed = seed
      options.network.latency = latency
    }
  }

  /// Small messages and their echoes, every 5 ms; the longest time between two echoes.
  private func longestGap(
    _ world: TunnelWorld, _ program: LocalProgram, for duration: Duration
  ) -> Duration {
    let end = world.loop.now + duration
    var last = world.loop.now, longest = Duration.zero, count = program.received.count
    var nextMessage = world.loop.now
    while world.loop.now < end {
      if world.loop.now >= nextMessage {
        program.send([1, 2, 3, 4])
        nextMessage = world.loop.now + .milliseconds(5)
      }
      world.loop.run(for: .milliseconds(1))
      guard program.received.count > count else { continue }
      count = program.received.count
      longest = max(longest, world.loop.now - last)
      last = world.loop.now
    }
    return max(longest, world.loop.now - last)
  }

  @Test(
    "a flow goes on after little more than two round trips, whoever's port changed",
    arguments: [true, false], Seeds.all)
  func gap(isShare: Bool, seed: UInt64) throws {
    let world = try Self.world(seed: seed)
    world.targets.onAccept = { $0.echoes = true }
    try world.open()
    let program = world.connect()
    #expect(longestGap(world, program, for: .seconds(1)) < .milliseconds(80))
    if isShare { world.rebindShare(port: 60_001) } else { world.rebindLink(port: 60_000) }
    // The echoes that were lost are sent again when later ones have been acknowledged.
    let gap = longestGap(world, program, for: .seconds(2))
    #expect(gap < .milliseconds(110), "\(gap)")
    let remote = isShare ? world.link.statistics.path?.remote : world.share.statistics.path?.remote
    #expect(remote?.port == (isShare ? 60_001 : 60_000))
    #expect(world.errors.isEmpty)
  }

  @Test("the share's port changes in a pause: its probe tells the link where it is")
  func pause() throws {
    let world = try Self.world()
    world.targets.onAccept = { $0.echoes = true }
    try world.open()
    let program = world.connect()
    _ = longestGap(world, program, for: .seconds(1))
    world.loop.run(for: .milliseconds(200))
    let before = program.received.count
    world.rebindShare(port: 60_001)
    let start = world.loop.now
    program.send([9])
    world.wait(.seconds(10)) { program.received.count > before }
    #expect(world.loop.now - start < .seconds(2))
    #expect(world.link.statistics.path?.remote.port == 60_001)
  }

  @Test("copies of packets from another port of the peer's host move nothing")
  func copies() throws {
    let world = try Self.world()
    world.targets.onAccept = { $0.echoes = true }
    try world.open()
    var copies: [SimDatagram] = []
    world.network.onSend = { datagram in
      if datagram.from.port != 61_000, datagram.bytes[0] & 0x40 != 0 { copies.append(datagram) }
    }
    let program = world.connect()
    _ = longestGap(world, program, for: .milliseconds(500))
    for datagram in copies {
      world.network.inject(
        datagram.bytes, from: datagram.from.with(port: 61_000), to: datagram.to)
    }
    #expect(longestGap(world, program, for: .seconds(1)) < .milliseconds(80))
    #expect(world.link.statistics.path?.remote == TunnelWorld.shareAddress)
    #expect(world.share.statistics.path?.remote.port != 61_000)
    #expect(world.share.statistics.switches == 0 && world.link.statistics.switches == 0)
  }

  @Test("who overtakes the peer's packets from another port gets three times as much, for a moment")
  func overtaken() throws {
    let world = try Self.world()
    world.targets.onAccept = { $0.echoes = true }
    try world.open()
    let program = world.connect()
    _ = longestGap(world, program, for: .milliseconds(500))
    let thief = world.network.bind(.clientHost.with(port: 61_000))
    var stolen = 0, sent = 0
    world.network.onSend = { datagram in
      if datagram.to == thief.localAddress { sent += datagram.bytes.count }
      guard stolen < 5_000, datagram.bytes[0] & 0x40 != 0,
        datagram.to == TunnelWorld.shareAddress, datagram.from != thief.localAddress
      else { return }
      stolen += datagram.bytes.count
      world.network.inject(datagram.bytes, from: thief.localAddress, to: datagram.to)
    }
    _ = longestGap(world, program, for: .seconds(3))
    // Probes, and answers to what it sent.
    #expect(stolen > 1_000 && sent <= 3 * stolen + 1_000, "\(sent) bytes for \(stolen)")
    #expect(world.share.statistics.path?.remote.port != 61_000)
    #expect(longestGap(world, program, for: .seconds(1)) < .milliseconds(80))
    #expect(world.errors.isEmpty)
  }
}
