import Glibc
import Simulation
import Testing

@testable import QuicTransport
@testable import Tunnel

@Suite("Several shares of one public place", .timeLimit(.minutes(2)))
struct PublicGroupTests {
  private static func group(_ balance: Balance = .roundRobin, secret: UInt8 = 1) -> PublicGroup {
    PublicGroup(secret: SecretBytes([UInt8](repeating: secret, count: 32)), balance: balance)
  }

  /// Sends visitors, one after the other or all at once, and tells how many each node got.
  private func counts(
    _ world: PublicWorld, _ nodes: [PublicNode], visitors: Int, staying: Bool = false
  ) throws -> [Int] {
    let before = nodes.map(\.targets.programs.count)
    let port = try #require(nodes.compactMap(\.port).first)
    for _ in 0..<visitors {
      let visitor = try #require(world.ports.visit(port))
      visitor.send([1])
      world.settle(.milliseconds(200))
      if !staying { visitor.reset() }
      world.settle(.milliseconds(100))
    }
    return zip(nodes, before).map { $0.targets.programs.count - $1 }
  }

  @Test("nodes with the group's secret get the same port and take turns; others are refused")
  func turns() throws {
    let world = try PublicWorld()
    let nodes = try (1...3).map { try world.share(UInt8($0), group: Self.group()) }
    let port = try #require(nodes[0].port)
    #expect(nodes.allSatisfy { $0.port == port })
    #expect(try counts(world, nodes, visitors: 9) == [3, 3, 3])
    #expect(try world.share(4, port: port).refusals == [.heldByAnother])
    #expect(
      try world.share(5, port: port, group: Self.group(secret: 2)).refusals == [.heldByAnother])
    // Not even one of them without the secret.
    #expect(try world.share(1, port: port).refusals == [.heldByAnother])
  }

  @Test("who leaves gets no visitor any more, and the last one's lease is kept for the group")
  func leaving() throws {
    let world = try PublicWorld()
    let nodes = try (1...2).map { try world.share(UInt8($0), group: Self.group()) }
    let port = nodes[0].port
    nodes[0].client.close()
    world.settle()
    #expect(try counts(world, [nodes[1]], visitors: 4) == [4])
    nodes[1].client.close()
    world.settle(.seconds(60))
    #expect(try world.share(7, group: Self.group()).port == port)
  }

  @Test("the one with the fewest connections, and the nearest one")
  func balance() throws {
    let world = try PublicWorld()
    let nodes = try (1...2).map { try world.share(UInt8($0), group: Self.group(.leastConnections)) }
    #expect(try counts(world, nodes, visitors: 3, staying: true).reduce(0, +) == 3)
    let third = try world.share(3, group: Self.group(.leastConnections))
    // It has to catch up first.
    #expect(try counts(world, nodes + [third], visitors: 2, staying: true)[2] >= 1)

    let distant = try PublicWorld()
    let far = try distant.share(1, group: Self.group(.leastLatency), latency: .milliseconds(80))
    let near = try distant.share(2, group: Self.group(.leastLatency), latency: .milliseconds(5))
    #expect(try counts(distant, [far, near], visitors: 4) == [0, 4])
  }

  @Test("a visitor whose first node refuses is served by another, with every byte once")
  func retry() throws {
    let world = try PublicWorld()
    let nodes = try (1...2).map { try world.share(UInt8($0), group: Self.group()) }
    nodes[0].targets.behaviours[SimTargets.web] = .refuses(ECONNREFUSED)
    let port = try #require(nodes[0].port)
    let body = (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }
    for _ in 0..<3 {
      let visitor = try #require(world.ports.visit(port))
      visitor.send(body, finishing: true)
      let target = nodes[1].targets.programs.count
      _ = world.loop.run(for: .seconds(5)) {
        nodes[1].targets.programs.count > target && nodes[1].targets.programs.last?.sawEnd == true
      }
      #expect(nodes[1].targets.programs.count == target + 1)
      #expect(nodes[1].targets.programs.last?.received == body)
      visitor.reset()
      world.settle(.milliseconds(100))
    }
    #expect(nodes[0].targets.programs.isEmpty)
    // It rests after a refusal, and is asked again later.
    #expect(nodes[0].targets.attempts.count == 1)
    nodes[0].targets.behaviours.removeAll()
    world.settle(.seconds(6))
    #expect(try counts(world, nodes, visitors: 4) == [2, 2])
  }

  @Test("a node that vanished costs a visitor seconds, and no byte is said twice")
  func vanished() throws {
    let world = try PublicWorld()
    let nodes = try (1...2).map { try world.share(UInt8($0), group: Self.group()) }
    let port = try #require(nodes[0].port)
    nodes[0].vanish()
    let visitors = try (0..<2).map { _ in try #require(world.ports.visit(port)) }
    for visitor in visitors { visitor.send(Array("once".utf8)) }
    _ = world.loop.run(for: .seconds(5)) { nodes[1].targets.programs.count == 2 }
    world.settle()
    #expect(nodes[1].targets.programs.map(\.received) == [Array("once".utf8), Array("once".utf8)])
    // The relay has noticed: the next ones do not wait.
    let start = world.loop.now
    let next = try #require(world.ports.visit(port))
    next.send([1])
    _ = world.loop.run(for: .seconds(5)) { nodes[1].targets.programs.count == 3 }
    #expect(world.loop.now - start < .milliseconds(200))
  }

  @Test("a node by itself that vanishes is not asked twice what it may have done already")
  func doubt() throws {
    let world = try PublicWorld()
    let first = try world.share(1, group: Self.group())
    let port = try #require(first.port)
    first.targets.behaviours[SimTargets.web] = .silent
    let visitor = try #require(world.ports.visit(port))
    visitor.send(Array("pay".utf8))
    world.settle(.milliseconds(100))
    let second = try world.share(2, group: Self.group())
    first.client.close()
    world.settle()
    #expect(visitor.failure != nil && second.targets.programs.isEmpty)
  }
}
