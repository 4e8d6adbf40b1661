import HolePunch
import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Several relays", .timeLimit(.minutes(2)))
struct SeveralRelaysTests {
  /// Two routers that leave nothing but relays.
  private static func world(relays: Int, seed: UInt64 = 1) throws -> MeetingWorld {
    try MeetingWorld {
      $0.seed = seed
      $0.share = .symmetricRandom
      $0.link = .symmetricRandom
      $0.relays = true
      $0.relayCount = relays
    }
  }

  @Test("the relay in use dies: data flows over the other one within 1.5 s", arguments: Seeds.all)
  func dies(seed: UInt64) throws {
    let world = try Self.world(relays: 2, seed: seed)
    try world.start(skew: .seconds(1))
    _ = try #require(world.timeToOpen(within: .seconds(5)), "seed \(seed)")
    world.loop.run(for: .seconds(30))
    let first = try #require(world.relayInUse, "seed \(seed)")
    #expect(world.carries(), "seed \(seed)")
    world.relays[first].vanish()
    let time = world.timeToCarry(within: .seconds(5))
    #expect(time.map { $0 <= .milliseconds(1_500) } == true, "seed \(seed): \(time as Any)")
    #expect(world.relayInUse == 1 - first && world.errors.isEmpty, "seed \(seed)")
    #expect(world.link.journal.opened == 1, "seed \(seed): a new session")
  }

  @Test("the dead one comes back: it is a spare again, and the other one may die")
  func comesBack() throws {
    let world = try Self.world(relays: 2)
    try world.start(skew: .seconds(1))
    _ = try #require(world.timeToOpen(within: .seconds(5)))
    world.loop.run(for: .seconds(20))
    let first = try #require(world.relayInUse)
    try world.restartRelay(first, after: .seconds(5))
    world.loop.run(for: .seconds(60))
    #expect(world.relayInUse == 1 - first && world.carries())
    #expect(world.relays[first].core.desk.totals.sessionsOpen == 1)
    world.relays[1 - first].vanish()
    let time = world.timeToCarry(within: .seconds(5))
    #expect(time.map { $0 <= .milliseconds(1_500) } == true, "\(time as Any)")
    #expect(world.relayInUse == first && world.link.journal.opened == 1)
  }

  @Test(
    "one relay, restarted: the session recovers within 3 s, whenever the nodes said something last",
    arguments: [200, 1_000, 4_000, 20_000], [0, 3, 6, 9, 12])
  func restarts(milliseconds: Int, seconds: Int) throws {
    let world = try Self.world(relays: 1)
    try world.start(skew: .seconds(1))
    _ = try #require(world.timeToOpen(within: .seconds(5)))
    world.loop.run(for: .seconds(20 + seconds))
    #expect(world.carries())
    world.relay.vanish()
    // Somebody types into the dead connection, so that it is noticed.
    world.loop.run(for: .milliseconds(100))
    _ = world.linkCore?.openSession.map { $0.ping([1, 2, 3]) }
    try world.restartRelay(after: .milliseconds(milliseconds))
    let time = world.timeToCarry(within: .seconds(20))
    #expect(time.map { $0 <= .seconds(3) } == true, "\(time as Any)")
    #expect(world.link.journal.opened == 1 && world.errors.isEmpty)
  }

  @Test("the nearest of two carries the session", arguments: [0, 1])
  func nearest(number: Int) throws {
    let world = try Self.world(relays: 2)
    for side in [MeetingWorld.linkNAT, MeetingWorld.shareNAT] {
      world.network.configure(side, MeetingWorld.relayHost(1 - number)) {
        $0.latency = .milliseconds(150)
      }
    }
    try world.start(skew: .seconds(1))
    _ = try #require(world.timeToOpen(within: .seconds(5)))
    world.loop.run(for: .seconds(10))
    #expect(world.relayInUse == number && world.carries())
  }

  @Test("of three, two are used; when both die, the third one is")
  func third() throws {
    let world = try Self.world(relays: 3)
    try world.start(skew: .seconds(1))
    _ = try #require(world.timeToOpen(within: .seconds(5)))
    world.loop.run(for: .seconds(20))
    let used = world.relays.indices.filter {
      world.relays[$0].core.desk.totals.sessionsOpen == 1
    }
    try #require(used.count == 2)
    for number in used { world.relays[number].vanish() }
    let time = world.timeToCarry(within: .seconds(30))
    #expect(time != nil && world.link.journal.opened == 1)
    #expect(world.relayInUse.map { !used.contains($0) } == true)
  }

  @Test(
    "the share is at one of two relays only: it is found there, whichever it is", arguments: [0, 1])
  func registeredAtOne(number: Int) throws {
    let world = try Self.world(relays: 2)
    world.network.configure(MeetingWorld.shareNAT, MeetingWorld.relayHost(1 - number)) {
      $0.isBlackhole = true
    }
    try world.start(skew: .seconds(1))
    #expect(world.timeToOpen(within: .seconds(5)) != nil)
    #expect(world.relayInUse == number && world.carries())
  }

  @Test("two relays do not double the probes of hole punching")
  func onePlan() throws {
    var counts: [Int] = []
    for relays in [1, 2] {
      let world = try MeetingWorld {
        $0.relays = true
        $0.relayCount = relays
      }
      var probes = 0
      world.network.onSend = { datagram in
        if datagram.bytes.first == 0x2a, datagram.bytes.count == ProbeMessage.byteCount {
          probes += 1
        }
      }
      try world.start(skew: .seconds(1))
      _ = try #require(world.timeToOpen(within: .seconds(5)))
      #expect(world.loop.run(for: .seconds(5)) { world.carrier == .udp })
      world.loop.run(for: .seconds(20))
      counts.append(probes)
    }
    #expect(counts[1] <= counts[0] * 3 / 2, "\(counts)")
  }

  @Test("the relay that made the plan dies: the other one makes the next")
  func plannerDies() throws {
    let world = try MeetingWorld {
      $0.relays = true
      $0.relayCount = 2
    }
    world.network.configure(MeetingWorld.linkNAT, MeetingWorld.shareNAT) { $0.isBlackhole = true }
    try world.start(skew: .seconds(1))
    _ = try #require(world.timeToOpen(within: .seconds(5)))
    world.loop.run(for: .seconds(20))
    let first = try #require(world.relayInUse)
    world.relays[first].vanish()
    world.loop.run(for: .seconds(60))
    world.network.configure(MeetingWorld.linkNAT, MeetingWorld.shareNAT) { $0.isBlackhole = false }
    #expect(world.loop.run(for: .seconds(120)) { world.carrier == .udp })
    #expect(world.carries() && world.link.journal.opened == 1)
  }

  @Test("two relays give out the same number: both legs stand, and end by themselves")
  func sameNumber() throws {
    let loop = SimLoop()
    let network = SimNetwork(loop: loop, seed: 1, defaults: LinkSettings())
    let endpoint = try EndpointCore(
      loop: loop,
      settings: TunnelWorld.sessionSettings.endpointSettings(
        identity: TunnelWorld.linkIdentity, acceptsConnections: false))
    endpoint.add(network.bind(.clientHost))
    let registry = PathRegistry(endpoint: endpoint)
    let legs = RelayedSockets(endpoint: endpoint, registry: registry, loop: loop)
    let grant = LegGrant(
      session: 7, generation: 1, key: [UInt8](repeating: 1, count: LegGrant.keyCount))
    let roads = [0, 1].map {
      NetworkPath(
        local: .clientHost, remote: MeetingWorld.relayHost($0).with(port: SimRelay.port))
    }
    let first = try #require(legs.add(grant, road: roads[0], relay: roads[0].remote))
    let second = try #require(legs.add(grant, road: roads[1], relay: roads[1].remote))
    #expect(first.path != second.path)
    #expect(legs.add(grant, road: roads[1], relay: roads[1].remote) == nil)
    legs.remove(first)
    #expect(registry.relay(of: first.path) == nil)
    #expect(registry.relay(of: second.path) == roads[1].remote)
    legs.remove(first)
    legs.remove(second)
    #expect(legs.add(grant, road: roads[1], relay: roads[1].remote) != nil)
    legs.close()
  }
}
