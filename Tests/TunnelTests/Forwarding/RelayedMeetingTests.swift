import HolePunch
import QuicTransport
import Simulation
import Testing

@testable import Tunnel

/// The whole of it: a rendezvous, tickets without addresses, punching, and the relay.
@Suite("Peers that meet through a relay", .timeLimit(.minutes(2)))
struct RelayedMeetingTests {
  private static func carrier(_ world: MeetingWorld) -> CarrierKind? {
    world.linkCore?.statistics.path?.carrier
  }

  @Test(
    "two routers with random ports: a session through the relay, and it is said why",
    arguments: Seeds.all)
  func hopeless(seed: UInt64) throws {
    let world = try MeetingWorld {
      $0.seed = seed
      $0.share = .symmetricRandom
      $0.link = .symmetricRandom
      $0.relays = true
    }
    try world.start(skew: .seconds(1))
    let time = try #require(world.timeToOpen(within: .seconds(5)), "seed \(seed)")
    // 40 ms to the relay, 80 between the two: QUIC and greeting with the relay, FIND to LEG, QUIC
    // and greeting with the share.
    #expect(time <= .milliseconds(400), "seed \(seed)")
    #expect(Self.carrier(world) == .relay && world.carries(), "seed \(seed)")
    #expect(world.link.failures.first == .bothNATsUnpredictable)
    world.loop.run(for: .seconds(600))
    #expect(Self.carrier(world) == .relay && world.carries() && world.errors.isEmpty)
  }

  @Test("home routers: the session is open through the relay or direct at once, and direct soon")
  func homeRouters() throws {
    let world = try MeetingWorld { $0.relays = true }
    var bytes: [SocketAddress: Int] = [:]
    world.network.onSend = { datagram in
      guard datagram.to.port == SimRelay.port, datagram.bytes.first == RelayHeader.firstByte else {
        return
      }
      bytes[datagram.from, default: 0] += datagram.bytes.count
    }
    try world.start(skew: .seconds(1))
    _ = try #require(world.timeToOpen(within: .seconds(5)))
    _ = world.loop.run(for: .seconds(5)) { Self.carrier(world) == .udp }
    #expect(Self.carrier(world) == .udp && world.loop.now - world.startedAt < .seconds(1))
    #expect(bytes.values.allSatisfy { $0 <= 6_144 }, "\(bytes)")
    // The relay stays a spare, which both sides keep alive.
    world.loop.run(for: .seconds(900))
    #expect(world.relay.core.desk.totals.sessionsOpen == 1)
    #expect(Self.carrier(world) == .udp && world.carries() && world.errors.isEmpty)
  }

  @Test("the direct path dies for good: the relay takes over, and another one is looked for")
  func fallback() throws {
    let world = try MeetingWorld { $0.relays = true }
    try world.start(skew: .seconds(1))
    _ = try #require(world.timeToOpen(within: .seconds(5)))
    world.loop.run(for: .seconds(20))
    try #require(Self.carrier(world) == .udp)
    world.network.configure(MeetingWorld.linkNAT, MeetingWorld.shareNAT) { $0.isBlackhole = true }
    #expect(world.carries())
    _ = world.loop.run(for: .seconds(3)) { Self.carrier(world) == .relay }
    #expect(Self.carrier(world) == .relay && world.carries())
    world.network.configure(MeetingWorld.linkNAT, MeetingWorld.shareNAT) { $0.isBlackhole = false }
    _ = world.loop.run(for: .seconds(60)) { Self.carrier(world) == .udp }
    #expect(Self.carrier(world) == .udp && world.carries() && world.errors.isEmpty)
  }

  @Test("a stranger without the ticket gets no leg")
  func stranger() throws {
    let world = try MeetingWorld {
      $0.relays = true
      $0.ticketCapability = SecretBytes([UInt8](repeating: 9, count: 16))
    }
    try world.start()
    #expect(world.timeToOpen(within: .seconds(25)) == nil)
    #expect(world.relay.core.desk.totals.sessions == 0)
  }

  @Test("the relay restarts under a relayed session: it goes on when the relay is back")
  func restart() throws {
    let world = try MeetingWorld {
      $0.share = .symmetricRandom
      $0.link = .symmetricRandom
      $0.relays = true
    }
    try world.start(skew: .seconds(1))
    _ = try #require(world.timeToOpen(within: .seconds(5)))
    #expect(world.carries())
    try world.restartRelay(after: .seconds(1))
    let back = world.loop.now
    var isBack = false
    while !isBack, world.loop.now - back < .seconds(20) { isBack = world.carries() }
    #expect(isBack && world.errors.isEmpty)
  }
}
