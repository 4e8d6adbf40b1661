import Glibc
import Simulation
import Testing

@testable import QuicTransport
@testable import Tunnel

@Suite("A relay that listens for shares", .timeLimit(.minutes(2)))
struct PublicListenersTests {
  private static let hello = Array("hello".utf8)

  /// Whether a visitor of a port gets back what it says.
  private func echoes(_ world: PublicWorld, _ port: UInt16, by node: PublicNode) -> Bool {
    let before = node.targets.programs.count
    guard let visitor = world.ports.visit(port) else { return false }
    node.targets.onAccept = { $0.echoes = true }
    visitor.send(Self.hello, finishing: true)
    _ = world.loop.run(for: .seconds(5)) { visitor.received == Self.hello }
    visitor.reset()
    world.settle(.milliseconds(200))
    return visitor.received == Self.hello && node.targets.programs.count == before + 1
  }

  @Test("a visitor without qtun reaches the target, with what it said at once")
  func visitor() throws {
    let world = try PublicWorld()
    let node = try world.share(1)
    let port = try #require(node.port)
    #expect(node.granted.first?.host == "relay.example")
    #expect((10_000...10_003).contains(port))
    let visitor = try #require(world.ports.visit(port))
    visitor.send(Self.hello)
    let start = world.loop.now
    _ = world.loop.run(for: .seconds(5)) { node.targets.programs.first?.received == Self.hello }
    // Half a round trip: nothing waits for the target's connection.
    #expect(world.loop.now - start < .milliseconds(15))
    let target = try #require(node.targets.programs.first)
    target.send(Array("bye".utf8), finishing: true)
    world.settle()
    #expect(visitor.received == Array("bye".utf8) && visitor.sawEnd)
    visitor.finish()
    world.settle()
    #expect(target.sawEnd && world.listeners.visitorsOpen == 0)
    #expect(node.journal.reports.map(\.ending) == [.finished])
  }

  @Test("a large answer to a slow visitor stops at the windows, and the rest follows")
  func backPressure() throws {
    let world = try PublicWorld()
    let node = try world.share(1)
    let port = try #require(node.port)
    let visitor = try #require(world.ports.visit(port))
    visitor.reads = false
    visitor.send([1])
    _ = world.loop.run(for: .seconds(5)) { !node.targets.programs.isEmpty }
    let target = try #require(node.targets.programs.first)
    let body = [UInt8](repeating: 7, count: 16 << 20)
    target.send(body)
    world.settle(.seconds(5))
    #expect(target.sentCount < 8 << 20)
    visitor.reads = true
    _ = world.loop.run(for: .seconds(60)) { visitor.received.count == body.count }
    #expect(visitor.received.count == body.count)
  }

  @Test("a refused target resets the visitor, and the port stays")
  func refused() throws {
    let world = try PublicWorld()
    let node = try world.share(1)
    node.targets.behaviours[SimTargets.web] = .refuses(ECONNREFUSED)
    let port = try #require(node.port)
    let visitor = try #require(world.ports.visit(port))
    visitor.send(Self.hello)
    world.settle()
    #expect(visitor.failure != nil && world.listeners.visitorsOpen == 0)
    node.targets.behaviours.removeAll()
    #expect(echoes(world, port, by: node))
  }

  @Test("the same key takes its port over at once; what the first process serves goes on")
  func takeover() throws {
    let world = try PublicWorld()
    let first = try world.share(1)
    let port = try #require(first.port)
    let visitor = try #require(world.ports.visit(port))
    visitor.send(Self.hello)
    _ = world.loop.run(for: .seconds(5)) { !first.targets.programs.isEmpty }
    let second = try world.share(1)
    #expect(second.port == port && first.refusals == [.replaced] && first.port == nil)
    #expect(echoes(world, port, by: second))
    first.targets.programs[0].send(Self.hello)
    world.settle()
    #expect(visitor.received == Self.hello)
    // The first one does not take it back, whatever becomes of its connection.
    try world.restartRelay(after: .seconds(1))
    world.settle(.seconds(10))
    #expect(second.port == port && first.port == nil)
  }

  @Test("a process that died without a word: its key has the port again within a second")
  func crash() throws {
    let world = try PublicWorld()
    let first = try world.share(1)
    let port = try #require(first.port)
    first.vanish()
    let second = try world.share(1)
    #expect(second.port == port && echoes(world, port, by: second))
  }

  @Test("another key is refused, while the holder is there and for an hour after it")
  func other() throws {
    let world = try PublicWorld()
    let holder = try world.share(1)
    let port = try #require(holder.port)
    #expect(try world.share(2, port: port).refusals == [.heldByAnother])
    holder.client.close()
    world.settle()
    #expect(world.ports.tcpPorts.isEmpty)
    world.settle(.seconds(3_500))
    #expect(try world.share(3, port: port).refusals == [.heldByAnother])
    #expect(try world.share(1).port == port)
  }

  @Test("an hour after its holder left, a port is anybody's")
  func expiry() throws {
    let world = try PublicWorld()
    let holder = try world.share(1)
    let port = try #require(holder.port)
    holder.client.close()
    world.settle(.seconds(3_700))
    #expect(try world.share(2, port: port).port == port)
  }

  @Test("a relay that is killed serves the same ports again three seconds after its start")
  func restart() throws {
    let world = try PublicWorld()
    let nodes = try (1...3).map { try world.share(UInt8($0)) }
    let ports = nodes.map(\.port)
    for pause in [Duration.milliseconds(50), .seconds(1), .seconds(5), .seconds(30)] {
      try world.restartRelay(after: pause)
      let isBack = world.loop.run(for: .seconds(3)) {
        world.ports.tcpPorts == Set(ports.compactMap { $0 })
      }
      #expect(isBack, "after \(pause)")
      // The answers wait for the file, which is written every 50 ms.
      world.settle(.milliseconds(100))
      #expect(nodes.map(\.port) == ports)
      for node in nodes {
        let port = try #require(node.port)
        #expect(echoes(world, port, by: node))
      }
    }
  }

  @Test("a flow that outlives its relay's connection is not taken for a later one of its number")
  func outlived() throws {
    let world = try PublicWorld()
    let node = try world.share(1)
    let port = try #require(node.port)
    node.targets.onAccept = { target in
      target.reads = false
      target.finish()
    }
    // All of it is at the share, in a stream that both sides have ended.
    let upload = Payload.bytes(200_000, seed: 1)
    let visitor = try #require(world.ports.visit(port))
    visitor.send(upload, finishing: true)
    world.settle(.seconds(2))
    #expect(visitor.sentCount == upload.count && visitor.sawEnd)
    try world.restartRelay(after: .seconds(1))
    world.settle(.seconds(5))
    node.targets.onAccept = { $0.echoes = true }
    let next = try #require(world.ports.visit(port))
    next.send(Self.hello)
    world.settle()
    #expect(next.received == Self.hello && node.targets.programs.count == 2)
    let first = node.targets.programs[0]
    first.reads = true
    world.settle()
    #expect(first.received == upload && first.sawEnd)
    next.send(Self.hello, finishing: true)
    world.settle()
    #expect(next.received == Self.hello + Self.hello)
    node.targets.programs[1].finish()
    world.settle()
    #expect(node.journal.reports.map(\.ending) == [.finished, .finished])
  }

  @Test("the same for a node that has no UDP")
  func restartOverTCP() throws {
    let world = try PublicWorld()
    let node = try world.share(1, hasUDP: false)
    let port = try #require(node.port)
    #expect(echoes(world, port, by: node))
    for pause in [Duration.milliseconds(50), .seconds(1), .seconds(5), .seconds(30)] {
      try world.restartRelay(after: pause)
      let isBack = world.loop.run(for: .seconds(3)) { world.ports.tcpPorts == [port] }
      #expect(isBack, "after \(pause)")
      world.settle(.milliseconds(100))
      #expect(echoes(world, port, by: node), "after \(pause)")
    }
  }

  @Test("a relay that was away for ten minutes is found again within a quarter of a minute")
  func longAbsence() throws {
    let world = try PublicWorld()
    let node = try world.share(1)
    let port = try #require(node.port)
    try world.restartRelay(after: .seconds(600))
    let start = world.loop.now
    let isBack = world.loop.run(for: .seconds(90)) { world.ports.tcpPorts == [port] }
    #expect(isBack && world.loop.now - start < .seconds(15) && node.client.isOpen)
  }

  @Test("a stranger cannot take a port in the moment before its holder is back")
  func race() throws {
    let world = try PublicWorld()
    let port = try #require(world.share(1).port)
    try world.restartRelay(after: .milliseconds(10))
    #expect(try world.share(2, port: port).refusals == [.heldByAnother])
  }

  @Test("whoever was told of a port keeps it, though share and relay die at that moment")
  func noWindow() throws {
    let world = try PublicWorld()
    // Leases of one moment are written together; the last one of them is no exception.
    let nodes = try (1...3).map { try world.share(UInt8($0)) }
    let ports = nodes.compactMap(\.port)
    #expect(ports.count == 3)
    nodes[2].vanish()
    try world.restartRelay(after: .milliseconds(10))
    #expect(try world.share(4, port: ports[2]).refusals == [.heldByAnother])
    #expect(try world.share(3).port == ports[2])
  }

  @Test("a visitor of a share that dies is reset, and so is one that it was asked about")
  func death() throws {
    let world = try PublicWorld()
    let node = try world.share(1)
    let port = try #require(node.port)
    let served = try #require(world.ports.visit(port))
    served.send(Self.hello)
    world.settle()
    node.targets.behaviours[SimTargets.web] = .silent
    let asked = try #require(world.ports.visit(port))
    world.settle(.milliseconds(100))
    node.client.close()
    world.settle()
    #expect(served.failure != nil && asked.failure != nil)
    #expect(world.listeners.visitorsOpen == 0 && world.ports.tcpPorts.isEmpty)
  }

  @Test("a drain serves those who are there, takes nobody new and then ends")
  func drain() throws {
    let world = try PublicWorld()
    let node = try world.share(1)
    let port = try #require(node.port)
    let visitor = try #require(world.ports.visit(port))
    visitor.send(Self.hello)
    world.settle()
    var isDrained = false
    node.places.drain { isDrained = true }
    world.settle()
    #expect(!isDrained && world.ports.visit(port) == nil)
    node.targets.programs[0].send(Self.hello, finishing: true)
    visitor.finish()
    world.settle()
    #expect(isDrained && visitor.received == Self.hello && visitor.sawEnd)
  }

  @Test("a port that another program has is passed over; one that was asked for is refused")
  func occupied() throws {
    let world = try PublicWorld()
    let usual = try #require(world.share(1).port)
    let other = try PublicWorld()
    other.ports.unusable[usual] = EADDRINUSE
    let node = try other.share(1)
    #expect(node.port != nil && node.port != usual)
    #expect(try other.share(2, port: usual).refusals == [.portInUse])
    #expect(other.listeners.book.leases.count == 1)
  }

  @Test("ports run out with a word, and those that nobody uses go first")
  func exhaustion() throws {
    let world = try PublicWorld()
    let nodes = try (1...4).map { try world.share(UInt8($0)) }
    #expect(Set(nodes.compactMap(\.port)).count == 4)
    #expect(try world.share(5).refusals == [.noneFree])
    nodes[2].client.close()
    world.settle(.seconds(30))
    #expect(try world.share(6).refusals == [.noneFree])
    world.settle(.seconds(40))
    #expect(try world.share(7).granted.count == 1)
  }

  @Test("what a relay does not offer, or not to this key, is refused with the reason")
  func refusals() throws {
    let world = try PublicWorld { $0.access = Self.access(1) }
    #expect(try world.share(2).refusals == [.notAllowed])
    #expect(try world.share(1, port: 9).refusals == [.outsideRange])
    #expect(try world.share(1, kind: .http, name: "a.example.com").refusals == [.notOffered])
    let named = try PublicWorld { options in
      options.hasDoor = true
      options.range = nil
    }
    #expect(try named.share(1).refusals == [.notOffered])
    #expect(try named.share(1, kind: .http, name: "example.org").refusals == [.nameNotAllowed])
    #expect(try named.share(1, kind: .tls, name: "a.example.com").refusals == [.notOffered])
    // A relay of an earlier version, or without public ports.
    let plain = try PublicWorld()
    plain.relay.core.publicListeners = nil
    #expect(try plain.share(1).refusals == [.notOffered])
  }

  @Test("a right that is taken away ends the listener and its visitors")
  func revoked() throws {
    let world = try PublicWorld { $0.access = Self.access(1) }
    let node = try world.share(1)
    let port = try #require(node.port)
    let visitor = try #require(world.ports.visit(port))
    visitor.send(Self.hello)
    world.settle()
    try world.relay.core.apply(Self.access())
    world.settle()
    #expect(visitor.failure != nil && !node.client.isOpen)
    #expect(world.ports.tcpPorts.isEmpty && world.listeners.book.leases.isEmpty)
    #expect(world.listeners.report.listenersOpen == 0)
  }

  @Test("names that are given out no more end, with their visitors; others stay")
  func otherNames() throws {
    let world = try PublicWorld { $0.hasDoor = true }
    let one = try world.share(1, kind: .http, name: "one.example.com")
    let two = try world.share(2, kind: .http, name: "two.example.com")
    world.listeners.apply(names: try NameRules(["two.example.com"]), host: "other.example")
    world.settle()
    #expect(one.refusals == [.nameNotAllowed] && two.refusals.isEmpty)
    #expect(world.listeners.book.leases.keys.map(\.name) == ["two.example.com"])
    #expect(try world.share(3).granted.map(\.host) == ["other.example"])
  }

  @Test("a right is for the ports and names of its scope; one without any is for none")
  func scopes() throws {
    let scope = try #require(
      RelayScope(
        relays: false, ports: [10_002...10_003], names: ["*.a.example.com"], bytesPerSecond: nil))
    let nothing = try #require(
      RelayScope(relays: true, ports: [], names: [], bytesPerSecond: nil))
    let access = PublicAccess(names: try NameRules(["*.example.com"]))
    func judge(
      _ scope: RelayScope?, _ kind: PublicKind = .tcp, port: UInt16 = 0, name: String = ""
    ) -> PublicStatus? {
      access.mayListen(
        scope,
        PublicRequest(
          number: 0, kind: kind, port: port, name: name, label: [], group: [],
          balance: .roundRobin))
    }
    #expect(judge(nil) == .notAllowed && judge(nothing) == .notAllowed)
    #expect(judge(nothing, .tls, name: "b.a.example.com") == .notAllowed)
    #expect(judge(scope) == nil && judge(scope, .udp, port: 10_003) == nil)
    #expect(judge(scope, port: 10_001) == .outsideRange)
    #expect(judge(scope, .http, name: "b.a.example.com") == nil)
    #expect(judge(scope, .http, name: "b.example.com") == .nameNotAllowed)
    #expect(judge(.everything, .http, name: "b.example.com") == nil)
    #expect(judge(.everything, .http, name: "example.org") == .nameNotAllowed)
    #expect(judge(.everything, .http, name: "*") == .nameNotAllowed)
  }

  private static func access(_ keys: UInt8...) -> RelayAccess {
    RelayAccess(
      tokens: nil, allowed: .init(keys: keys.map { Identity.fixture($0).publicKey }, files: []),
      isOpen: false)
  }

  @Test("visitors are bounded: for a source, for a listener and in all")
  func limits() throws {
    let world = try PublicWorld { options in
      options.limits.visitorsPerSourceMax = 3
      options.limits.visitorsPerListenerMax = 5
      options.limits.visitorsMax = 6
    }
    let ports = try (1...2).map { try #require(world.share($0).port) }
    func visit(_ port: UInt16, _ host: UInt32) throws -> LocalProgram {
      let source = SocketAddress(ipv4: 0x0a00_0000 + host, port: 1)
      return try #require(world.ports.visit(port, from: source))
    }
    let crowd = try (0..<4).map { _ in try visit(ports[0], 1) }
    world.settle(.milliseconds(100))
    #expect(crowd.map { $0.failure != nil } == [false, false, false, true])
    let more = try (2..<5).map { try visit(ports[0], $0) } + [try visit(ports[1], 9)]
    let last = try visit(ports[1], 10)
    world.settle(.milliseconds(100))
    #expect(more.map { $0.failure != nil } == [false, false, true, false])
    #expect(last.failure != nil && world.listeners.visitorsOpen == 6)
    // Who leaves makes room.
    crowd[0].reset()
    world.settle(.milliseconds(100))
    let late = try visit(ports[1], 11)
    #expect(late.failure == nil && world.listeners.visitorsOpen == 6)
  }

  @Test("one identity, and one address, has so many listeners and no more")
  func listenerLimits() throws {
    let world = try PublicWorld { options in
      options.limits.leasesPerHolderMax = 1
      options.limits.listenersMax = 2
    }
    _ = try world.share(1)
    #expect(try world.share(1, port: 10_003).refusals == [.tooMany])
    _ = try world.share(2)
    #expect(try world.share(3).refusals == [.tooMany])
  }
}
