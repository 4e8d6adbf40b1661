import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Which of several relays carries", .timeLimit(.minutes(2)))
struct RelayChoiceTests {
  /// Two routers that leave nothing but relays; how far each side is from each of them, one way.
  private static func world(
    link: [Int], share: [Int], jitter: Int = 0, seed: UInt64 = 1
  ) throws -> MeetingWorld {
    let world = try MeetingWorld {
      $0.seed = seed
      $0.share = .symmetricRandom
      $0.link = .symmetricRandom
      $0.relays = true
      $0.relayCount = link.count
    }
    for number in link.indices {
      for (side, latency) in [(MeetingWorld.linkNAT, link), (MeetingWorld.shareNAT, share)] {
        world.network.configure(side, MeetingWorld.relayHost(number)) {
          $0.latency = .milliseconds(latency[number])
          $0.jitter = .milliseconds(jitter)
        }
      }
    }
    return world
  }

  /// Seen in reports and events.
  private static func standings(_ world: MeetingWorld) -> [RelayReport.Standing] {
    (0..<world.relays.count).compactMap { number in
      world.linkCore?.report.relays.first {
        $0.key == MeetingWorld.relayIdentity(number).publicKey
      }?.standing
    }
  }

  private static func reasons(_ world: MeetingWorld) -> [SwitchReason] {
    world.link.journal.events.compactMap {
      if case .sessionMoved(_, let reason) = $0 { reason } else { nil }
    }
  }

  @Test("the sum of both legs decides, whatever is nearer to the one who dials", arguments: [0, 1])
  func sum(best: Int) throws {
    // 5 + 120 ms by one, 40 + 10 by the other.
    let (near, far) = ([5, 40], [120, 10])
    let world = try Self.world(
      link: best == 1 ? near : near.reversed(), share: best == 1 ? far : far.reversed())
    try world.start(skew: .seconds(1))
    _ = try #require(world.timeToOpen(within: .seconds(5)))
    world.loop.run(for: .seconds(40))
    #expect(world.relayInUse == best && world.carries())
    #expect(Self.standings(world)[best] == .carries)
    #expect(Self.standings(world)[1 - best] == .warm)
    let report = try #require(world.linkCore?.report.relays.first)
    let sum = try #require(report.sessionRoundTrip)
    #expect(sum >= .milliseconds(100) && sum < .milliseconds(102))
    let told = world.link.events.contains {
      if case .relaysRanked(let relays) = $0 { relays.first?.key == report.key } else { false }
    }
    #expect(told)
  }

  @Test("a session whose relay becomes the longer way moves once, and says why")
  func drifts() throws {
    let world = try Self.world(link: [10, 30], share: [10, 30])
    try world.start(skew: .seconds(1))
    _ = try #require(world.timeToOpen(within: .seconds(5)))
    world.loop.run(for: .seconds(60))
    try #require(world.relayInUse == 0)
    world.network.configure(MeetingWorld.shareNAT, MeetingWorld.relayHost(0)) {
      $0.latency = .milliseconds(200)
    }
    let before = Self.reasons(world).count
    #expect(world.loop.run(for: .seconds(60)) { world.relayInUse == 1 })
    let moves = Self.reasons(world).dropFirst(before)
    guard case .nearer(let from, let to)? = moves.first else {
      Issue.record("\(moves)")
      return
    }
    #expect(from > .milliseconds(300) && to < .milliseconds(130))
    world.loop.run(for: .seconds(600))
    #expect(Self.reasons(world).count == before + 1 && world.carries())
    #expect(world.link.journal.opened == 1)
  }

  @Test("two relays that are about as far do not take turns, if unsteady", arguments: Seeds.all)
  func steady(seed: UInt64) throws {
    let world = try Self.world(link: [20, 22], share: [22, 20], jitter: 15, seed: seed)
    try world.start(skew: .seconds(1))
    _ = try #require(world.timeToOpen(within: .seconds(5)), "seed \(seed)")
    world.loop.run(for: .seconds(900))
    let moves = Self.reasons(world).filter { if case .nearer = $0 { true } else { false } }
    #expect(moves.isEmpty && world.carries(), "seed \(seed): \(moves)")
  }

  @Test("of three, the nearest for both is found, though it is not for the dialling side")
  func third() throws {
    let world = try Self.world(link: [10, 12, 25], share: [120, 120, 5])
    try world.start(skew: .seconds(1))
    _ = try #require(world.timeToOpen(within: .seconds(5)))
    #expect(world.relayInUse != 2)
    #expect(world.loop.run(for: .seconds(60)) { world.relayInUse == 2 })
    world.loop.run(for: .seconds(30))
    let standings = Self.standings(world)
    #expect(standings[2] == .carries && standings.count { $0 == .warm } == 1)
    #expect(standings.count { $0 == .spare } == 1 && world.carries())
    // What was given up is given back.
    #expect(world.relays.reduce(0) { $0 + $1.core.desk.totals.sessionsOpen } == 2)
    #expect(world.link.journal.opened == 1)
  }

  // MARK: A relay that is about to stop

  /// Says something every 5 ms, and tells the longest time in which nothing arrived.
  private func longestGap(
    _ world: MeetingWorld, for time: Duration, _ act: () -> Void
  ) throws -> Duration {
    let (near, far) = SimStreamSocket.pair(
      loop: world.loop, capacity: 65_536, latency: SimTargets.latency)
    let program = LocalProgram(far)
    let known = world.targets.programs.count
    world.linkCore?.accept(near, wish: .service(""))
    program.send([1])
    _ = world.loop.run(for: .seconds(5)) { world.targets.programs.count > known }
    let target = try #require(world.targets.programs.last)
    world.loop.run(for: .milliseconds(500))
    var (last, gap) = (world.loop.now, Duration.zero)
    var count = target.received.count
    act()
    let end = world.loop.now + time
    while world.loop.now < end {
      program.send([1])
      world.loop.run(for: .milliseconds(5))
      if target.received.count > count {
        gap = max(gap, world.loop.now - last)
        (count, last) = (target.received.count, world.loop.now)
      }
    }
    program.reset()
    return max(gap, world.loop.now - last)
  }

  @Test("a relay that restarts is left before it is gone, without a gap", arguments: Seeds.all)
  func restarts(seed: UInt64) throws {
    let world = try Self.world(link: [20, 22], share: [20, 22], seed: seed)
    try world.start(skew: .seconds(1))
    _ = try #require(world.timeToOpen(within: .seconds(5)), "seed \(seed)")
    world.loop.run(for: .seconds(20))
    let first = try #require(world.relayInUse, "seed \(seed)")
    var drained: Instant?
    let began = world.loop.now
    let gap = try longestGap(world, for: .seconds(5)) {
      world.relays[first].core.drain(within: .seconds(30)) {
        drained = world.loop.now
        world.relays[first].core.close()
      }
    }
    // A round trip by the relay is 88 ms at most, and 25 ms is what an announced switch costs.
    #expect(gap <= .milliseconds(115), "seed \(seed): \(gap)")
    #expect(Self.reasons(world).last == .relayRestarts, "seed \(seed)")
    // Nothing crosses it any more, so it need not wait for the end of its patience.
    #expect(drained.map { $0 - began < .seconds(4) } == true, "seed \(seed)")
    #expect(world.relayInUse == 1 - first && world.carries(), "seed \(seed)")
    #expect(world.link.journal.opened == 1 && world.errors.isEmpty, "seed \(seed)")
  }

  @Test("it comes back as a spare, and can then be gone to when the other one restarts")
  func takesTurns() throws {
    let world = try Self.world(link: [20, 20], share: [20, 20])
    try world.start(skew: .seconds(1))
    _ = try #require(world.timeToOpen(within: .seconds(5)))
    world.loop.run(for: .seconds(20))
    for _ in 0..<3 {
      let used = try #require(world.relayInUse)
      let gap = try longestGap(world, for: .seconds(5)) {
        world.relays[used].core.drain(within: .seconds(30)) { world.relays[used].core.close() }
      }
      #expect(gap <= .milliseconds(105))
      try world.restartRelay(used, after: .milliseconds(500))
      world.loop.run(for: .seconds(30))
      #expect(world.relayInUse == 1 - used)
      #expect(Self.standings(world)[used] == .warm)
    }
    #expect(world.link.journal.opened == 1 && world.errors.isEmpty)
  }

  @Test("with nowhere to go the session stays until the end, and is back after it")
  func alone() throws {
    let world = try Self.world(link: [20], share: [20])
    try world.start(skew: .seconds(1))
    _ = try #require(world.timeToOpen(within: .seconds(5)))
    world.loop.run(for: .seconds(20))
    world.relay.core.drain(within: .seconds(10)) { world.relay.core.close() }
    world.loop.run(for: .seconds(5))
    #expect(world.relayInUse == 0 && world.carries())
    #expect(Self.standings(world) == [.restarting])
    world.loop.run(for: .seconds(6))
    try world.restartRelay(after: .seconds(1))
    #expect(world.timeToCarry(within: .seconds(10)) != nil)
    #expect(world.link.journal.opened == 1 && world.errors.isEmpty)
  }

  @Test("both restart at once: the session stays on what it has")
  func both() throws {
    let world = try Self.world(link: [20, 20], share: [20, 20])
    try world.start(skew: .seconds(1))
    _ = try #require(world.timeToOpen(within: .seconds(5)))
    world.loop.run(for: .seconds(20))
    for relay in world.relays { relay.core.drain(within: .seconds(20)) {} }
    world.loop.run(for: .seconds(10))
    #expect(world.carries() && Self.reasons(world).count { $0 == .relayRestarts } <= 1)
    #expect(world.link.journal.opened == 1)
  }
}
