import QuicTransport
import Simulation
import Testing

@testable import Tunnel

/// A session's last packet, on roads that lose it (RFC 9000 §10.2.1).
@Suite("Farewells", .timeLimit(.minutes(1)))
struct FarewellTests {
  /// An open session, at 20 ms each way, whose share says farewell to.
  private static func world(
    seed: UInt64 = 1, _ configure: (inout TunnelWorld.Options) -> Void = { _ in }
  ) throws -> TunnelWorld {
    let world = try TunnelWorld { options in
      options.seed = seed
      options.network.latency = .milliseconds(20)
      configure(&options)
    }
    world.targets.onAccept = { $0.echoes = true }
    try world.open()
    return world
  }

  /// Moves between UDP and TCP, and is on UDP again.
  private static func movedWorld(seed: UInt64 = 1) throws -> TunnelWorld {
    let world = try world(seed: seed) {
      $0.tcpPasses = true
      $0.carriers = .cycling(every: .seconds(2))
    }
    world.wait {
      world.link.statistics.switches >= 2 && world.link.statistics.path?.carrier == .udp
    }
    // The share has followed.
    world.loop.run(for: .milliseconds(500))
    return world
  }

  /// The share stops, and what it says in this moment is lost.
  private static func closeUnheard(_ world: TunnelWorld) {
    world.cutNetwork()
    world.share.close()
    world.loop.run(for: .milliseconds(1))
    world.mendNetwork()
  }

  private static func expectFarewell(_ world: TunnelWorld, seed: UInt64 = 1) {
    guard case .application(TunnelCode.shuttingDown, true, _)? = world.linkJournal.ends.first else {
      Issue.record("seed \(seed): \(world.linkJournal.ends)")
      return
    }
  }

  @Test("one that is lost is repeated, though the peer is idle and says nothing")
  func repeated() throws {
    let world = try Self.world()
    world.loop.run(for: .seconds(3))
    Self.closeUnheard(world)
    world.wait(.seconds(1)) { !world.linkJournal.ends.isEmpty }
    Self.expectFarewell(world)
  }

  @Test("also after the session has moved, when QUIC's path is but a label", arguments: Seeds.all)
  func moved(seed: UInt64) throws {
    let world = try Self.movedWorld(seed: seed)
    Self.closeUnheard(world)
    world.wait(.seconds(1)) { !world.linkJournal.ends.isEmpty }
    Self.expectFarewell(world, seed: seed)
  }

  @Test("a peer whose address has changed meanwhile is told at the new one")
  func rebound() throws {
    let world = try Self.world()
    let program = world.connect()
    program.send([1])
    world.wait { program.received == [1] }
    world.rebindLink(port: 50_000)
    Self.closeUnheard(world)
    program.send([2])
    world.wait(.seconds(1)) { !world.linkJournal.ends.isEmpty }
    Self.expectFarewell(world)
  }

  @Test("one that finds the socket full leaves as soon as there is room")
  func waits() throws {
    let world = try Self.movedWorld()
    let program = world.connect()
    world.shareSocket.block(for: .milliseconds(60))
    // Its acknowledgement fills the socket.
    program.send([1])
    world.wait(.milliseconds(59)) { world.shareSocket.isBlocked }
    world.share.close()
    world.loop.run(for: .milliseconds(60))
    world.wait(.milliseconds(25)) { !world.linkJournal.ends.isEmpty }
    Self.expectFarewell(world)
  }
}
