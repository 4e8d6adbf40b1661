import Glibc
import Simulation
import Testing

@testable import QuicTransport
@testable import Tunnel

@Suite("Public places whose targets are checked", .timeLimit(.minutes(2)))
struct PublicHealthTests {
  private static let group = PublicGroup(
    secret: SecretBytes([UInt8](repeating: 1, count: 32)), balance: .roundRobin)
  private static let request = Array("GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n".utf8)

  private func isDown(_ world: PublicWorld) -> Int { world.listeners.report.listenersDown }

  /// Which of the nodes gets each of so many visitors.
  private func served(_ world: PublicWorld, _ nodes: [PublicNode], visitors: Int) throws -> [Int] {
    let before = nodes.map { $0.journal.reports.count }
    let port = try #require(nodes[0].port)
    for _ in 0..<visitors {
      let visitor = try #require(world.ports.visit(port))
      visitor.send([1])
      world.settle(.milliseconds(200))
      visitor.reset()
      world.settle(.milliseconds(200))
    }
    return zip(nodes, before).map { $0.journal.reports.count - $1 }
  }

  @Test("a member whose target fails gets nobody within the documented time, and is put back")
  func rotation() throws {
    let world = try PublicWorld()
    let check = HealthCheck(.tcp)
    let nodes = try (1...2).map { try world.share(UInt8($0), group: Self.group, health: check) }
    #expect(try served(world, nodes, visitors: 4) == [2, 2])
    // It takes connections and never says a word, so visitors would not find out by themselves.
    nodes[0].targets.behaviours[SimTargets.web] = .silent
    world.settle(check.timeToDown)
    #expect(isDown(world) == 1)
    #expect(try served(world, nodes, visitors: 4) == [0, 4])
    nodes[0].targets.behaviours.removeAll()
    world.settle(check.interval * check.rise + .seconds(1))
    #expect(isDown(world) == 0)
    #expect(try served(world, nodes, visitors: 4) == [2, 2])
  }

  @Test("a newcomer whose target is not there yet gets nobody before it is")
  func newcomer() throws {
    let world = try PublicWorld()
    let check = HealthCheck(.tcp)
    let first = try world.share(1, group: Self.group, health: check)
    let second = try world.share(2, group: Self.group, health: check) {
      $0.behaviours[SimTargets.web] = .silent
    }
    #expect(isDown(world) == 1)
    #expect(try served(world, [first, second], visitors: 3) == [3, 0])
  }

  @Test("where all fail, a web visitor hears 503 and why, another one a reset")
  func nobodyIsHealthy() throws {
    let world = try PublicWorld { $0.hasDoor = true }
    let refusing: (SimTargets) -> Void = {
      $0.behaviours[SimTargets.web] = .refuses(ECONNREFUSED)
    }
    let check = HealthCheck(.tcp)
    let web = try world.share(
      1, kind: .http, name: "a.example.com", health: check, prepare: refusing)
    let plain = try world.share(2, health: check, prepare: refusing)
    #expect(isDown(world) == 2)
    let visitor = try #require(world.ports.visit(8_080))
    visitor.send(Self.request)
    world.settle(.seconds(3))
    let heard = String(decoding: visitor.received, as: UTF8.self)
    #expect(heard.hasPrefix("HTTP/1.1 503 ") && heard.contains("fails its health check"))
    #expect(visitor.sawEnd)
    let port = try #require(plain.port)
    let other = try #require(world.ports.visit(port))
    world.settle()
    #expect(other.failure == ECONNRESET)
    web.targets.behaviours.removeAll()
    world.settle(.seconds(11))
    let later = try #require(world.ports.visit(8_080))
    later.send(Self.request)
    world.settle()
    #expect(web.targets.programs.last?.received == Self.request)
  }

  @Test("what a node said holds again after a reconnect, and not for its next listener")
  func reconnects() throws {
    let world = try PublicWorld()
    let node = try world.share(1, health: HealthCheck(.tcp)) {
      $0.behaviours[SimTargets.web] = .silent
    }
    #expect(isDown(world) == 1)
    try world.restartRelay(after: .seconds(1))
    world.settle(.seconds(20))
    #expect(node.client.isOpen && isDown(world) == 1)
    node.client.close()
    world.settle()
    // The same key, without a check.
    let next = try world.share(1)
    #expect(isDown(world) == 0 && next.port != nil)
  }

  @Test("datagrams of visitors go to members that pass only")
  func datagrams() throws {
    let world = try PublicWorld()
    let relay = world.listeners
    let node = try world.share(1)
    let peer = try #require(world.relay.core.peers.values.first)
    #expect(relay.take(.health(number: 0, isUp: false), from: peer, at: .otherHost))
    #expect(isDown(world) == 1)
    // Again, and for a listener that is not there: no effect, and no reason to break off.
    #expect(relay.take(.health(number: 0, isUp: false), from: peer, at: .otherHost))
    #expect(relay.take(.health(number: 9, isUp: false), from: peer, at: .otherHost))
    #expect(isDown(world) == 1 && node.client.isOpen)
    #expect(relay.places.values.first?.choose(for: nil, now: world.loop.now) { _ in true } == nil)
  }
}
