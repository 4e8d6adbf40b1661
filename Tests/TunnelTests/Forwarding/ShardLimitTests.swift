import QuicTransport
import Simulation
import Synchronization
import Testing

@testable import Tunnel

@Suite("Limits of several cores", .timeLimit(.minutes(1)))
struct ShardLimitTests {
  @Test("an identity's rate bounds its sessions on all cores together")
  func identityRate() throws {
    var limits = ForwardingLimits()
    limits.bytesPerSecondOfIdentity = 200_000
    limits.burst = 100_000
    let world = try ShardWorld(cores: 2, limits: limits)
    // One share with eight visitors, four on each core.
    let sessions = try (0..<8).map { (number: UInt16) -> SessionOrder in
      let share = ShardWorld.party(1, port: 10 + number, address: UInt64(number))
      let visitor = ShardWorld.party(2 + UInt8(number), port: 50 + number)
      return try world.desk.open(between: share, and: visitor, payer: nil)
    }
    #expect(world.desk.totals.shards.map(\.sessionsOpen) == [4, 4])
    for _ in 0..<1_000 {
      for session in sessions { world.send([UInt8](repeating: 1, count: 1_000), on: session) }
      world.run(.milliseconds(2))
    }
    let bytes = world.desk.totals.bytes
    // Two seconds and a burst; each core may hold a portion that it has not spent.
    #expect((467_000...502_000).contains(bytes), "\(bytes)")
    #expect(world.desk.totals.throttled(by: .identity) > 7_000)
    #expect(Set(world.throttled.map { $0.session >> 24 & 1 }) == [0, 1])
  }

  @Test("other limits and a right that ends reach every core")
  func changes() throws {
    let world = try ShardWorld(cores: 2)
    let sessions = try (0..<2).map { try world.open($0) }
    world.run()
    var limits = ForwardingLimits()
    limits.bytesPerSecondOfSession = 10_000
    limits.burst = 5_000
    world.desk.apply(limits)
    world.run()
    for session in sessions {
      for _ in 0..<10 { world.send([UInt8](repeating: 1, count: 1_000), on: session) }
    }
    world.run()
    #expect(sessions.map { world.departures(of: $0).count } == [5, 5])
    #expect(Set(world.throttled.map(\.session)) == Set(sessions.map(\.number)))
  }

  /// Sends for each session so many bytes each millisecond; gives what left of each, from the second
  /// half of the time.
  private func flood(
    _ world: ShardWorld, _ sessions: [(session: SessionOrder, bytesPerMillisecond: Int)],
    milliseconds: Int
  ) -> [Int] {
    var sums = [Int](repeating: 0, count: sessions.count)
    for time in 0..<milliseconds {
      for (session, bytes) in sessions {
        var rest = bytes
        while rest > 0 {
          world.send([UInt8](repeating: 1, count: min(rest, 1_000)), on: session)
          rest -= 1_000
        }
      }
      world.run(.milliseconds(1))
      if time == milliseconds / 2 { world.forgetDepartures() }
    }
    for (index, entry) in sessions.enumerated() {
      sums[index] = world.departures(of: entry.session).reduce(0) { $0 + $1.payload.count }
    }
    return sums
  }

  private func cappedWorld(cores: Int) throws -> ShardWorld {
    var limits = ForwardingLimits()
    limits.bytesPerSecond = 2_000_000
    limits.burst = 100_000
    return try ShardWorld(cores: cores, limits: limits)
  }

  @Test("floods share the total rate alike, however unevenly the cores have them")
  func fairShares() throws {
    let world = try cappedWorld(cores: 2)
    // Eight sessions, four on each; three of one core end, so it has one.
    let sessions = try (0..<8).map { try world.open($0) }
    let few = sessions.filter { world.shard(of: $0) == 1 }
    for session in few.dropFirst() { world.desk.close(session.number) }
    let open = sessions.filter { world.shard(of: $0) == 0 } + [few[0]]
    let sums = flood(world, open.map { ($0, 4_000) }, milliseconds: 2_000)
    let total = sums.reduce(0, +)
    // One second at 2 MB/s, and next to no burst.
    #expect((1_850_000...2_150_000).contains(total), "\(sums)")
    for sum in sums { #expect((310_000...450_000).contains(sum), "\(sums)") }
  }

  @Test("one flood alone has nearly all of the rate, though its core is one of four")
  func aloneAtTheCap() throws {
    let world = try cappedWorld(cores: 4)
    let sessions = try (0..<4).map { try world.open($0) }
    let sums = flood(world, [(sessions[0], 4_000)], milliseconds: 1_000)
    #expect((930_000...1_080_000).contains(sums[0]), "\(sums)")
  }

  @Test("a flood on one core and quiet sessions on both: these lose nothing, and wait 5 ms")
  func quietOnes() throws {
    let world = try cappedWorld(cores: 2)
    let sessions = try (0..<10).map { try world.open($0) }
    var sent: [Instant] = []
    for time in 0..<2_000 {
      for _ in 0..<8 {
        world.send([UInt8](repeating: 1, count: 1_000), on: sessions[0])
      }
      if time % 10 == 0 {
        sent.append(world.loop.now)
        for session in sessions.dropFirst() {
          world.send([UInt8](repeating: 2, count: 100), on: session)
        }
      }
      world.run(.milliseconds(1))
    }
    world.run(.milliseconds(20))
    for session in sessions.dropFirst() {
      let left = world.departures(of: session)
      #expect(left.count == sent.count)
      let waits = zip(left, sent).map { $0.at - $1 }
      #expect((waits.max() ?? .zero) <= .milliseconds(5))
    }
    let bulk = world.departures(of: sessions[0]).reduce(0) { $0 + $1.payload.count }
    // 4 MB in two seconds, less what the quiet ones and the reserve have.
    #expect((3_350_000...4_100_000).contains(bulk), "\(bulk)")
  }

  @Test("a second after the rate has stopped to bind, nothing is sent and no timer runs for it")
  func rest() throws {
    let world = try cappedWorld(cores: 2)
    let sessions = try (0..<2).map { try world.open($0) }
    _ = flood(world, [(sessions[0], 6_000)], milliseconds: 200)
    world.run(.seconds(3))
    for session in sessions { world.desk.close(session.number) }
    world.run()
    #expect(world.loop.runUntilIdle(within: .milliseconds(1)))
    // And the shares are even again: each core can send at half of the rate.
    let again = try (4..<6).map { try world.open($0) }
    let sums = flood(world, again.map { ($0, 900) }, milliseconds: 1_000)
    #expect(sums.allSatisfy { (440_000...451_000).contains($0) }, "\(sums)")
  }

  @Test("shares never exceed the rate, and nobody gets less than another who asks for no more")
  func sharesOfAnyDemand() {
    let seed = UInt64.random(in: 0...UInt64.max)
    print("seed \(seed)")
    var random = SplitMix64(seed: seed)
    for _ in 0..<500 {
      let rate = Int.random(in: 10_000...10_000_000_000, using: &random)
      let count = Int.random(in: 1...8, using: &random)
      let demands = (0..<count).map { _ in
        var demand = ShardDemand()
        for _ in 0..<Int.random(in: 0...20, using: &random) {
          let bytes = Int.random(in: 0...(rate / 2), using: &random)
          demand.add(bytes, isHungry: Int.random(in: 0...3, using: &random) == 0)
        }
        return demand
      }
      let shares = CapShares.of(rate, demands: demands, interval: .milliseconds(50))
      #expect(shares.reduce(0, +) <= rate && shares.allSatisfy { $0 >= rate / 32 / count })
      // The hungrier of two that want the same otherwise has no less.
      var more = demands
      more[0].add(0, isHungry: true)
      let changed = CapShares.of(rate, demands: more, interval: .milliseconds(50))
      #expect(changed[0] >= shares[0] - rate / 50, "\(shares) \(changed)")
    }
  }

  @Test("several threads together take what there is, and no more")
  func threads() throws {
    let now = Instant(nanoseconds: 1_000_000_000_000)
    let budget = SharedBudget(perSecond: 1_000_000, burst: 100_000, now: now)
    let taken = Atomic<Int>(0)
    let over = Atomic<Int>(0)
    let main = try EpollLoop()
    let done = LoopMailbox<Void>(loop: main)
    done.setReceiver {
      if over.add(1, ordering: .relaxed).newValue == 4 { main.stop() }
    }
    for _ in 0..<4 {
      let loop = try EpollLoop()
      let begin = LoopMailbox<Void>(loop: loop)
      begin.setReceiver { [unowned begin] in
        while budget.take(7, now: now) { taken.add(7, ordering: .relaxed) }
        done.post(())
        begin.setReceiver(nil)
        loop.stop()
      }
      begin.post(())
      try loop.start()
    }
    main.run()
    done.setReceiver(nil)
    let sum = taken.load(ordering: .relaxed)
    #expect(sum <= 100_000 && sum > 99_900)
  }
}
