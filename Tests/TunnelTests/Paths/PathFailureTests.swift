import QuicTransport
import Simulation
import Testing

@testable import Tunnel

/// Roads that fail in part: one direction, large packets, much of everything.
@Suite("Partial failures of paths")
struct PathFailureTests {
  /// 20 ms each way; flows move in the given direction at 1.2 Mbit/s.
  private final class Scene {
    let world: TunnelWorld
    private let program: LocalProgram
    private(set) var sentUp: [UInt8] = []
    private(set) var sentDown: [UInt8] = []

    init(seed: UInt64, latency: Duration = .milliseconds(20)) throws {
      world = try TunnelWorld { options in
        options.seed = seed
        options.network.latency = latency
        options.tcpPasses = true
      }
      try world.open()
      program = world.connect()
      program.send([1])
      sentUp = [1]
      world.wait { world.targets.programs.count == 1 }
    }

    var carrier: CarrierKind? { world.link.statistics.path?.carrier }
    private var target: LocalProgram { world.targets.programs[0] }

    /// Sends for this long; tells the longest time in which nothing arrived.
    @discardableResult
    func run(_ duration: Duration, up: Bool = false, down: Bool = false) -> Duration {
      let end = world.loop.now + duration
      var last = world.loop.now
      var longest = Duration.zero
      var before = target.received.count + program.received.count
      while world.loop.now < end {
        let piece = Payload.bytes(1_500, seed: UInt64(sentUp.count + sentDown.count))
        if up {
          program.send(piece)
          sentUp += piece
        }
        if down {
          target.send(piece)
          sentDown += piece
        }
        world.loop.run(for: .milliseconds(10))
        let count = target.received.count + program.received.count
        if count > before { last = world.loop.now }
        before = count
        longest = max(longest, world.loop.now - last)
      }
      return longest
    }

    /// Everything that was sent arrives, whole.
    func settle() {
      world.wait {
        target.received.count == sentUp.count && program.received.count == sentDown.count
      }
      #expect(Payload.difference(target.received, sentUp) == nil)
      #expect(Payload.difference(program.received, sentDown) == nil)
      #expect(world.errors.isEmpty)
    }

    func uplink(_ change: (inout LinkSettings) -> Void) {
      change(&world.network.link(from: .clientHost, to: .serverHost).settings)
    }

    func downlink(_ change: (inout LinkSettings) -> Void) {
      change(&world.network.link(from: .serverHost, to: .clientHost).settings)
    }
  }

  @Test("a download alone notices that UDP is gone", arguments: Seeds.all)
  func downloadOnly(seed: UInt64) throws {
    let scene = try Scene(seed: seed)
    scene.run(.seconds(3), down: true)
    scene.world.cutNetwork()
    let gap = scene.run(.seconds(6), down: true)
    #expect(gap < .milliseconds(2_500), "gap \(gap), seed \(seed)")
    #expect(scene.carrier == .tcp, "seed \(seed)")
    scene.settle()
  }

  @Test(
    "one direction of UDP fails: the session leaves it within 2.5 s", arguments: Seeds.first(2),
    [(true, true), (true, false), (false, true), (false, false)])
  func oneWay(seed: UInt64, failing: (up: Bool, data: Bool)) throws {
    let scene = try Scene(seed: seed)
    scene.run(.seconds(2), up: failing.data, down: !failing.data)
    failing.up ? scene.uplink { $0.isBlackhole = true } : scene.downlink { $0.isBlackhole = true }
    let gap = scene.run(.seconds(6), up: failing.data, down: !failing.data)
    #expect(gap < .milliseconds(2_500), "gap \(gap), seed \(seed), \(failing)")
    #expect(scene.carrier == .tcp, "seed \(seed)")
    scene.settle()
  }

  @Test(
    "a path that begins to lose large packets goes on with smaller ones", arguments: Seeds.first(2),
    [true, false])
  func smallerMTU(seed: UInt64, isUp: Bool) throws {
    let scene = try Scene(seed: seed)
    scene.run(.seconds(3), up: isUp, down: !isUp)
    isUp ? scene.uplink { $0.mtu = 1_300 } : scene.downlink { $0.mtu = 1_300 }
    let gap = scene.run(.seconds(8), up: isUp, down: !isUp)
    #expect(gap < .seconds(4), "gap \(gap), seed \(seed)")
    #expect(scene.carrier == .udp, "seed \(seed)")
    scene.settle()
  }

  @Test(
    "a path that loses every packet of 1200 bytes but not small ones is left",
    arguments: Seeds.first(2),
    [true, false])
  func tinyMTU(seed: UInt64, isUp: Bool) throws {
    let scene = try Scene(seed: seed)
    scene.run(.seconds(3), up: isUp, down: !isUp)
    isUp ? scene.uplink { $0.mtu = 1_000 } : scene.downlink { $0.mtu = 1_000 }
    let gap = scene.run(.seconds(10), up: isUp, down: !isUp)
    #expect(gap < .seconds(6), "gap \(gap), seed \(seed)")
    #expect(scene.carrier == .tcp, "seed \(seed)")
    scene.settle()
    // It is not returned to while it stays so.
    let moves = scene.world.link.statistics.switches
    scene.run(.seconds(60), up: isUp, down: !isUp)
    #expect(scene.carrier == .tcp, "seed \(seed)")
    #expect(scene.world.link.statistics.switches <= moves + (isUp ? 0 : 6), "seed \(seed)")
    scene.settle()
  }

  @Test("losses that a network may have do not drive a session away", arguments: Seeds.all)
  func lossy(seed: UInt64) throws {
    let scene = try Scene(seed: seed)
    scene.world.network.configure(.clientHost, .serverHost) { $0.lossRate = 0.05 }
    scene.run(.seconds(30), up: true, down: true)
    #expect(scene.carrier == .udp, "seed \(seed)")
    #expect(scene.world.link.statistics.switches == 0, "seed \(seed)")
    scene.settle()
  }

  @Test("a round trip of 700 ms: UDP blocked, TCP found, and back", arguments: Seeds.all)
  func satellite(seed: UInt64) throws {
    let scene = try Scene(seed: seed, latency: .milliseconds(350))
    // TCP is faster here, and wins the race of the first handshake; UDP is better all the same.
    scene.run(.seconds(20), up: true)
    #expect(scene.carrier == .udp, "seed \(seed)")
    #expect(scene.world.link.statistics.switches <= 1, "seed \(seed)")
    scene.world.cutNetwork()
    scene.run(.seconds(12), up: true)
    #expect(scene.carrier == .tcp, "seed \(seed)")
    scene.world.mendNetwork()
    scene.run(.seconds(30), up: true)
    #expect(scene.carrier == .udp, "seed \(seed)")
    scene.settle()
  }

  @Test("an outage without any other road does not make the road worse", arguments: Seeds.all)
  func noAlternative(seed: UInt64) throws {
    let scene = try Scene(seed: seed)
    scene.world.tcp.passes = false
    scene.run(.seconds(1), up: true)
    scene.world.cutNetwork()
    scene.run(.seconds(5), up: true)
    scene.world.tcp.passes = true
    scene.run(.seconds(5), up: true)
    #expect(scene.carrier == .tcp, "seed \(seed)")
    scene.world.mendNetwork()
    scene.run(.seconds(20), up: true)
    #expect(scene.carrier == .udp, "seed \(seed)")
    scene.settle()
  }
}
