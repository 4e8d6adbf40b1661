import HolePunch
import QuicTransport
import Simulation
import Testing

@testable import Tunnel

/// `--path` and `--wait-direct`, and what becomes of pairs that have no direct path.
@Suite("Which way a session goes", .timeLimit(.minutes(2)))
struct PathPolicyTests {
  private static func isNotDirect(_ error: TunnelError?, _ failure: PunchFailure?) -> Bool {
    if case .notDirect(let found)? = error { found == failure } else { false }
  }

  /// Relayed data, and probes of hole punching, that were sent.
  private final class Tally {
    var relayed = 0
    var probes = 0

    init(_ network: SimNetwork) {
      network.onSend = { [weak self] datagram in
        if datagram.bytes.first == RelayHeader.firstByte { self?.relayed += 1 }
        if datagram.bytes.first == 0x2a, datagram.bytes.count == ProbeMessage.byteCount {
          self?.probes += 1
        }
      }
    }
  }

  @Test("direct: not a byte of the session goes through the relay that introduces the peers")
  func direct() throws {
    let world = try MeetingWorld {
      $0.relays = true
      $0.path = .direct
    }
    let tally = Tally(world.network)
    try world.start(skew: .seconds(1))
    #expect(world.timeToOpen(within: .seconds(5)) != nil)
    #expect(world.carrier == .udp && world.carries())
    world.loop.run(for: .seconds(60))
    #expect(world.carries() && world.carrier == .udp)
    #expect(tally.relayed == 0 && world.relay.core.desk.totals.sessions == 0)
  }

  @Test("direct, and both routers forget the session: the relay brings both sides together again")
  func directAgain() throws {
    let world = try MeetingWorld {
      $0.relays = true
      $0.path = .direct
      $0.share = .portRestricted
      $0.link = .portRestricted
    }
    try world.start(skew: .seconds(1))
    _ = try #require(world.timeToOpen(within: .seconds(5)))
    world.loop.run(for: .seconds(20))
    #expect(world.carries())
    for translator in world.nats { translator.flush() }
    #expect(world.timeToCarry(within: .seconds(25)) != nil)
    #expect(world.carrier == .udp && world.link.journal.opened == 1 && world.errors.isEmpty)
  }

  @Test("direct, on the sharing side: the same")
  func directShare() throws {
    let world = try MeetingWorld {
      $0.relays = true
      $0.sharePath = .direct
    }
    let tally = Tally(world.network)
    try world.start(skew: .seconds(1))
    #expect(world.timeToOpen(within: .seconds(5)) != nil)
    #expect(world.carrier == .udp && world.carries() && tally.relayed == 0)
  }

  @Test("direct, between routers that rule it out: over after seconds, with the reason")
  func directHopeless() throws {
    let world = try MeetingWorld {
      $0.relays = true
      $0.share = .symmetricRandom
      $0.link = .symmetricRandom
      $0.path = .direct
    }
    let tally = Tally(world.network)
    try world.start(skew: .seconds(1))
    #expect(world.timeToOpen(within: .seconds(4)) == nil)
    #expect(Self.isNotDirect(world.errors.first, .bothNATsUnpredictable) && tally.relayed == 0)
  }

  @Test("direct, with a time to wait: it is waited for, whatever the plan says")
  func directWaits() throws {
    let world = try MeetingWorld {
      $0.share = .symmetricRandom
      $0.link = .symmetricRandom
      $0.path = .direct
      $0.waitDirect = .seconds(8)
    }
    try world.start(skew: .seconds(1))
    #expect(world.timeToOpen(within: .milliseconds(7_900)) == nil && world.errors.isEmpty)
    world.loop.run(for: .milliseconds(200))
    #expect(Self.isNotDirect(world.errors.first, .bothNATsUnpredictable))
  }

  @Test("without a relay that forwards, a hopeless pair is told within seconds")
  func hopeless() throws {
    let world = try MeetingWorld {
      $0.share = .symmetricRandom
      $0.link = .symmetricRandom
    }
    try world.start(skew: .seconds(1))
    #expect(world.timeToOpen(within: .seconds(4)) == nil)
    #expect(Self.isNotDirect(world.errors.first, .bothNATsUnpredictable))
  }

  @Test("UDP is blocked on one side and the ticket has no address: told within seconds")
  func blocked() throws {
    let world = try MeetingWorld {
      $0.share = .linuxHome
      $0.link = .linuxHome
    }
    try world.startShare()
    world.loop.run(for: .seconds(1))
    world.nats[1].settings.blocksUDP = true
    world.startLink()
    // It reaches no relay either: that is the reason, and it may take until the patience is over.
    #expect(world.timeToOpen(within: .seconds(30)) == nil)
    guard case .relaysUnreachable? = world.errors.first else {
      Issue.record("\(world.errors)")
      return
    }
  }

  @Test("nobody is at the relay: the reason says so")
  func absent() throws {
    let world = try MeetingWorld()
    world.startLink()
    #expect(world.timeToOpen(within: .seconds(25)) == nil)
    guard case .peerAbsent? = world.errors.first else {
      Issue.record("\(world.errors)")
      return
    }
  }

  @Test(
    "relay: it stays there, and neither side learns where the other is", arguments: [true, false])
  func relay(isLinkAsking: Bool) throws {
    let world = try MeetingWorld {
      $0.relays = true
      if isLinkAsking { $0.path = .relay } else { $0.sharePath = .relay }
    }
    let tally = Tally(world.network)
    try world.start(skew: .seconds(1))
    #expect(world.timeToOpen(within: .seconds(5)) != nil)
    world.loop.run(for: .seconds(300))
    #expect(world.carrier == .relay && world.carries() && tally.probes == 0)
    #expect(world.link.punched.isEmpty && world.errors.isEmpty)
  }

  @Test("the start waits for a direct path, and then goes on at once")
  func waits() throws {
    let world = try MeetingWorld {
      $0.relays = true
      $0.waitDirect = .seconds(5)
    }
    try world.start(skew: .seconds(1))
    let time = try #require(world.timeToOpen(within: .seconds(10)))
    #expect(time < .seconds(1) && world.carrier == .udp)
  }

  @Test("the start waits for a direct path in vain, and goes on through the relay")
  func waitsInVain() throws {
    let world = try MeetingWorld {
      $0.relays = true
      $0.share = .symmetricRandom
      $0.link = .symmetricRandom
      $0.waitDirect = .seconds(5)
    }
    try world.start(skew: .seconds(1))
    let time = try #require(world.timeToOpen(within: .seconds(10)))
    #expect(time == .seconds(5) && world.carrier == .relay && world.carries())
    let isTold = world.link.journal.events.contains {
      if case .notDirectInTime(.seconds(5)) = $0 { true } else { false }
    }
    #expect(isTold)
  }

  @Test(
    "UDP between the peers is blocked and TCP comes up later: the session leaves the relay for it")
  func movesToTCP() throws {
    let world = try MeetingWorld {
      $0.relays = true
      $0.share = nil
      $0.hasAddress = true
    }
    world.network.configure(MeetingWorld.linkNAT, MeetingWorld.shareNAT) { $0.isBlackhole = true }
    try world.start(skew: .seconds(1))
    _ = try #require(world.timeToOpen(within: .seconds(5)))
    world.loop.run(for: .seconds(25))
    let tcp = try #require(world.tcp)
    // The first race, one look at once: a TCP connection and a WebSocket each.
    #expect(world.carrier == .relay && (2...4).contains(tcp.dialled.count))
    tcp.passes = true
    #expect(world.loop.run(for: .seconds(15)) { world.carrier == .tcp })
    #expect(world.carries() && world.errors.isEmpty)
  }

  @Test("TCP that stays refused is tried less and less, and at once on another network")
  func pace() throws {
    let world = try MeetingWorld {
      $0.relays = true
      $0.share = nil
      $0.hasAddress = true
    }
    world.network.configure(MeetingWorld.linkNAT, MeetingWorld.shareNAT) { $0.isBlackhole = true }
    try world.start(skew: .seconds(1))
    _ = try #require(world.timeToOpen(within: .seconds(5)))
    world.loop.run(for: .seconds(500))
    let tcp = try #require(world.tcp)
    // At 0, 30, 90, 210 and 450 s, and in the race.
    #expect(world.carrier == .relay && tcp.dialled.count <= 12)
    tcp.passes = true
    world.linkCore?.lookAgain()
    #expect(world.loop.run(for: .seconds(5)) { world.carrier == .tcp })
    #expect(world.carries())
  }
}
