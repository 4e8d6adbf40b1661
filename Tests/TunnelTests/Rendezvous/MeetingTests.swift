import HolePunch
import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Peers that meet through a rendezvous", .timeLimit(.minutes(5)))
struct MeetingTests {
  @Test(
    "home routers on both sides: a session within half a second of the later start",
    arguments: [
      Duration.milliseconds(100), .milliseconds(600), .seconds(2), .seconds(10), .seconds(120),
      .milliseconds(-100), .seconds(-2), .seconds(-10),
    ])
  func homeRouters(skew: Duration) throws {
    let world = try MeetingWorld()
    try world.start(skew: skew)
    let time = try #require(world.timeToOpen(within: .seconds(5)), "\(world.link.events)")
    #expect(time <= .milliseconds(500))
    #expect(world.carries())
    #expect(world.link.punched.first?.path.kind == .reflexive)
  }

  @Test("kinds of routers against each other", arguments: pairs)
  func kinds(pair: Pair) throws {
    for seed in [UInt64(1), 2, 3] {
      let world = try MeetingWorld {
        $0.seed = seed
        $0.share = pair.share.settings
        $0.link = pair.link.settings
      }
      try world.start(skew: .milliseconds(100))
      let time = world.timeToOpen(within: .seconds(15))
      #expect(time != nil, "seed \(seed): \(world.link.events) \(world.share.events)")
      if time != nil { #expect(world.carries(), "seed \(seed)") }
    }
  }

  struct Kind: Sendable {
    let name: String
    let settings: SimNAT.Settings?
  }

  struct Pair: Sendable, CustomTestStringConvertible {
    let share: Kind
    let link: Kind
    var testDescription: String { "\(share.name) x \(link.name)" }
  }

  static let pairs: [Pair] = {
    let kinds = [
      Kind(name: "public", settings: nil), Kind(name: "full cone", settings: .fullCone),
      Kind(name: "port restricted", settings: .portRestricted),
      Kind(name: "Linux open", settings: .linuxOpen),
      Kind(name: "symmetric regular", settings: .symmetricRegular),
    ]
    let all = kinds.flatMap { share in kinds.map { Pair(share: share, link: $0) } }
    let random = Kind(name: "symmetric random", settings: .symmetricRandom)
    return all + [
      Pair(share: random, link: kinds[2]), Pair(share: kinds[2], link: random),
      Pair(share: random, link: kinds[0]), Pair(share: kinds[0], link: random),
    ]
  }()

  @Test("a search for ports goes on while the network is measured again", arguments: [1, 2, 3])
  func measuredInSearch(seed: UInt64) throws {
    let world = try MeetingWorld {
      $0.seed = seed
      $0.share = .addressDependent
      $0.link = .symmetricRandom
      // With one of them this kind of NAT is not known.
      $0.relayCount = 2
      $0.relays = true
    }
    try world.start(skew: .milliseconds(100))
    func modes() -> [PunchMode] {
      world.share.events.compactMap {
        if case .punching(_, let mode) = $0 { mode } else { nil }
      }
    }
    #expect(world.loop.run(for: .seconds(5)) { modes().last == .birthday }, "\(modes())")
    #expect(modes().first == .relay, "what is not known counts as the worse")
    world.share.meeting?.networkChanged()
    world.link.meeting?.networkChanged()
    let isDirect = world.loop.run(for: .seconds(10)) { !world.link.punched.isEmpty }
    #expect(isDirect, "seed \(seed): \(modes()) \(world.link.failures)")
    #expect(modes().last == .birthday, "seed \(seed): \(modes())")
  }

  @Test("what another gateway let in says nothing about this one")
  func completedReport() {
    let earlier = NATReport(mapping: .addressDependent, filtering: .addressDependent)
    var report = NATReport(mapping: .addressAndPortDependent, filtering: .unknown)
    #expect(report.completed(by: earlier).filtering == .addressDependent)
    #expect(NATReport().completed(by: earlier).mapping == .addressDependent)
    report.filtering = .addressAndPortDependent
    #expect(report.completed(by: earlier) == report)
    let easy = NATReport(mapping: .endpointIndependent, filtering: .unknown)
    #expect(easy.completed(by: earlier) == easy)
  }

  @Test("two random symmetric routers: it is said at once why not")
  func hopeless() throws {
    let world = try MeetingWorld {
      $0.share = .symmetricRandom
      $0.link = .symmetricRandom
    }
    try world.start()
    _ = world.loop.run(for: .seconds(2)) { !world.link.failures.isEmpty }
    #expect(world.link.failures.first == .bothNATsUnpredictable)
    // And in the end the attempt is over.
    #expect(world.timeToOpen(within: .seconds(60)) == nil && world.errors.count == 1)
  }

  @Test("the relay restarts: who was connected stays, who comes later is introduced")
  func restart() throws {
    let world = try MeetingWorld()
    try world.startShare()
    world.loop.run(for: .seconds(1))
    try world.restartRelay(after: .seconds(5))
    // The share notices by a stateless reset, or by silence.
    _ = world.loop.run(for: .seconds(90)) { world.share.readyCount == 2 }
    #expect(world.share.readyCount == 2)
    world.startLink()
    #expect(world.timeToOpen(within: .seconds(10)) != nil)
    try world.restartRelay(after: .seconds(5))
    world.loop.run(for: .seconds(60))
    #expect(world.errors.isEmpty && world.carries())
  }

  @Test("a share on which nothing happens keeps its place at the relay")
  func idle() throws {
    let world = try MeetingWorld()
    try world.startShare()
    world.loop.run(for: .seconds(600))
    #expect(world.share.readyCount == 1, "\(world.share.events)")
    world.startLink()
    #expect(world.timeToOpen(within: .seconds(5)) != nil)
  }

  @Test("a relay that restarts in the middle counts anew, and introduces the same pair again")
  func restartInTheMiddle() throws {
    let world = try MeetingWorld()
    world.network.configure(MeetingWorld.shareNAT, MeetingWorld.linkNAT) { $0.isBlackhole = true }
    try world.start()
    world.loop.run(for: .seconds(1))
    world.relay.core.close()
    try world.restartRelay(after: .milliseconds(200))
    let isAgain = world.loop.run(for: .seconds(5)) { world.relay.core.totals.introductions == 1 }
    #expect(isAgain && world.errors.isEmpty)
    world.network.configure(MeetingWorld.shareNAT, MeetingWorld.linkNAT) { $0.isBlackhole = false }
    #expect(world.timeToOpen(within: .seconds(15)) != nil)
  }

  @Test("a stranger who knows the public key makes the share send nothing and learns nothing")
  func stranger() throws {
    let world = try MeetingWorld {
      $0.ticketCapability = SecretBytes([UInt8](repeating: 9, count: 16))
    }
    try world.startShare()
    world.loop.run(for: .seconds(5))
    var probes = 0
    world.network.onSend = { datagram in
      if datagram.bytes.first == 0x2a, datagram.bytes.count == ProbeMessage.byteCount {
        probes += 1
      }
    }
    world.startLink()
    #expect(world.timeToOpen(within: .seconds(30)) == nil)
    #expect(
      probes == 0 && world.link.events.allSatisfy { if case .punching = $0 { false } else { true } }
    )
    #expect(world.relay.core.totals.introductions == 0)
  }

  @Test("two processes of one identity meet, as on one machine's two ends")
  func oneIdentity() throws {
    let world = try MeetingWorld { $0.linkIdentity = TunnelWorld.shareIdentity }
    try world.start()
    #expect(world.timeToOpen(within: .seconds(5)) != nil)
    #expect(world.carries())
  }

  @Test("who looks for a peer asks behind its greeting, without waiting for the answer")
  func earlyQuestion() throws {
    let world = try MeetingWorld()
    try world.start(skew: .seconds(2))
    let time = try #require(world.timeToOpen(within: .seconds(5)), "\(world.link.events)")
    #expect(time <= .milliseconds(320))
  }

  @Test("a clock that is wrong costs a round trip, no more", arguments: [0, 1_900_000_000])
  func wrongClock(time: UInt64) throws {
    let world = try MeetingWorld { $0.wallClock = time }
    try world.start(skew: .seconds(2))
    #expect(world.timeToOpen(within: .milliseconds(500)) != nil, "\(world.link.events)")
  }

  @Test("what strangers send to the port has nothing looked up anew")
  func strangers() throws {
    let world = try MeetingWorld { $0.share = nil }
    try world.start()
    #expect(world.timeToOpen(within: .seconds(5)) != nil)
    world.loop.run(for: .seconds(5))
    let before = world.share.looks
    for number in 0..<1_000 {
      world.network.inject(
        [UInt8(number % 4), 1], from: .otherHost.with(port: 9), to: world.share.socket.localAddress)
    }
    world.loop.run(for: .milliseconds(100))
    #expect(before > 0 && world.share.looks == before)
  }

  @Test("a ticket with limits is met as well; one that is over is not")
  func grants() throws {
    let id = GrantID.random()
    let grant = try #require(Grant(id: id, expiry: 1_900_000_000, uses: 0, services: []))
    let world = try MeetingWorld { $0.grant = grant }
    try world.start()
    _ = world.loop.run(for: .seconds(5)) { !world.link.punched.isEmpty }
    #expect(!world.link.punched.isEmpty)
    let over = try #require(Grant(id: id, expiry: 1_700_000_000, uses: 0, services: []))
    let late = try MeetingWorld { $0.grant = over }
    try late.start()
    #expect(late.timeToOpen(within: .seconds(25)) == nil)
    #expect(late.relay.core.totals.introductions == 0)
  }

  @Test("10,000 forged datagrams a second at the share: nothing goes out, and the session lives")
  func flood() throws {
    let world = try MeetingWorld { $0.share = nil }
    try world.start()
    _ = try #require(world.timeToOpen(within: .seconds(5)))
    world.loop.run(for: .seconds(20))
    var random = SplitMix64(seed: 5)
    var sent = 0
    world.network.onSend = { datagram in
      if datagram.from == world.share.socket.publicAddress,
        datagram.to.with(port: 0) == .otherHost
      {
        sent += 1
      }
    }
    for index in 0..<10_000 {
      let count = [43, 66, 20, 48][index % 4]
      var bytes = (0..<count).map { _ in UInt8(random.below(256)) }
      bytes[0] = index % 4 < 2 ? 0x2a : UInt8(random.below(4))
      bytes[1] = 1
      bytes[2] = 16
      world.network.inject(
        bytes, from: .otherHost.with(port: UInt16(1_024 + index)),
        to: world.share.socket.publicAddress)
    }
    world.loop.run(for: .seconds(1))
    #expect(sent == 0 && world.carries())
  }
}
