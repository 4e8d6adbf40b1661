import Glibc
import Simulation
import Testing

@testable import QuicTransport
@testable import Tunnel

@Suite("Visitors whose share dies", .timeLimit(.minutes(2)))
struct VisitorWatchTests {
  private static let group = PublicGroup(
    secret: SecretBytes([UInt8](repeating: 1, count: 32)), balance: .roundRobin)

  private static func request(_ method: String, _ rest: String = "\r\n") -> [UInt8] {
    Array("\(method) /slow HTTP/1.1\r\nHost: a.example.com\r\n\(rest)".utf8)
  }

  private static func world() throws -> PublicWorld {
    try PublicWorld { $0.hasDoor = true }
  }

  private static func share(_ world: PublicWorld, _ key: UInt8, group: PublicGroup? = nil) throws
    -> PublicNode
  {
    try world.share(key, kind: .http, name: "a.example.com", group: group)
  }

  private static func text(_ program: LocalProgram) -> String {
    String(decoding: program.received, as: UTF8.self)
  }

  @Test("one who comes after its death hears 502 within 3 s")
  func late() throws {
    let world = try Self.world()
    let node = try Self.share(world, 1)
    node.vanish()
    let visitor = try #require(world.ports.visit(8_080))
    visitor.send(Self.request("GET"))
    #expect(world.loop.run(for: .seconds(3)) { Self.text(visitor).hasPrefix("HTTP/1.1 502 ") })
    #expect(Self.text(visitor).contains("away"))
  }

  @Test("one who waits for its answer hears 502 3 s after its death", arguments: ["GET", "POST"])
  func waiting(method: String) throws {
    let world = try Self.world()
    let node = try Self.share(world, 1)
    let visitor = try #require(world.ports.visit(8_080))
    visitor.send(Self.request(method))
    // The target takes its time, and everything is acknowledged long since.
    world.settle(.seconds(30))
    #expect(node.targets.programs.count == 1 && !visitor.isOver && visitor.received.isEmpty)
    node.vanish()
    let died = world.loop.now
    #expect(world.loop.run(for: .seconds(5)) { Self.text(visitor).hasPrefix("HTTP/1.1 502 ") })
    #expect(world.loop.now - died <= .milliseconds(3_400))
  }

  @Test("who has begun to get an answer, and who wants none now, waits for the share")
  func patient() throws {
    let world = try Self.world()
    let node = try Self.share(world, 1)
    let reader = try #require(world.ports.visit(8_080))
    let idler = try #require(world.ports.visit(8_080))
    for visitor in [reader, idler] {
      visitor.send(Self.request("GET"))
      world.settle(.milliseconds(200))
    }
    let targets = node.targets.programs
    try #require(targets.count == 2)
    targets[0].send(Array("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab".utf8))
    targets[1].send(Array("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".utf8))
    world.settle()
    let host = node.endpoint.localAddresses[0].with(port: 0)
    world.network.configure(host, .serverHost) { $0.isBlackhole = true }
    world.settle(.seconds(12))
    #expect(!reader.isOver && !idler.isOver)
    world.network.configure(host, .serverHost) { $0.isBlackhole = false }
    world.settle(.seconds(3))
    targets[0].send(Array("cd".utf8))
    world.settle()
    #expect(Self.text(reader).hasSuffix("abcd"))
  }

  @Test("a request that only asks goes to another member, once; no other does")
  func repeats() throws {
    for (method, isRepeated) in [("GET", true), ("HEAD", true), ("POST", false), ("PUT", false)] {
      let world = try Self.world()
      let nodes = try (1...3).map { try Self.share(world, UInt8($0), group: Self.group) }
      let visitor = try #require(world.ports.visit(8_080))
      visitor.send(Self.request(method))
      world.settle(.seconds(5))
      let first = try #require(nodes.firstIndex { !$0.targets.programs.isEmpty })
      nodes[first].vanish()
      world.settle(.seconds(4))
      let second = nodes.indices.first { $0 != first && !nodes[$0].targets.programs.isEmpty }
      #expect((second != nil) == isRepeated, "\(method)")
      guard let second else {
        #expect(Self.text(visitor).hasPrefix("HTTP/1.1 502 "), "\(method)")
        continue
      }
      let target = try #require(nodes[second].targets.programs.first)
      #expect(target.received == Self.request(method), "\(method)")
      if method == "GET" {
        target.send(Array("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".utf8))
        world.settle()
        #expect(Self.text(visitor) == "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        // The connection goes on, with the next request at the same member.
        visitor.send(Self.request("GET"))
        world.settle()
        #expect(target.received == Self.request("GET") + Self.request("GET"))
        continue
      }
      // A request that kills whoever gets it must not kill all.
      nodes[second].vanish()
      world.settle(.seconds(4))
      #expect(nodes.reduce(0) { $0 + $1.targets.programs.count } == 2)
      #expect(Self.text(visitor).hasPrefix("HTTP/1.1 502 "))
    }
  }

  @Test("bodies and upgrades are not repeated, nor is what was answered in part")
  func unrepeatable() throws {
    let wholes = [
      Self.request("GET", "Content-Length: 2\r\n\r\nab"),
      Self.request("GET", "Upgrade: websocket\r\nConnection: upgrade\r\n\r\n"),
      // Two at once, of which the first has its answer.
      Self.request("GET") + Self.request("GET"),
    ]
    for (index, bytes) in wholes.enumerated() {
      let world = try Self.world()
      let nodes = try (1...2).map { try Self.share(world, UInt8($0), group: Self.group) }
      let visitor = try #require(world.ports.visit(8_080))
      visitor.send(bytes)
      world.settle(.seconds(2))
      let first = try #require(nodes.first { !$0.targets.programs.isEmpty })
      if index == 2 {
        first.targets.programs[0].send(
          Array("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".utf8))
        world.settle()
      }
      first.vanish()
      world.settle(.seconds(5))
      #expect(nodes.reduce(0) { $0 + $1.targets.programs.count } == 1, "\(index)")
      #expect(Self.text(visitor).contains("HTTP/1.1 502 "), "\(index)")
    }
  }

  @Test("a share whose process is gone, though its machine is not, frees its visitor at once")
  func connectionEnds() throws {
    let world = try Self.world()
    let nodes = try (1...2).map { try Self.share(world, UInt8($0), group: Self.group) }
    let visitor = try #require(world.ports.visit(8_080))
    visitor.send(Self.request("GET"))
    world.settle(.seconds(1))
    let first = try #require(nodes.first { !$0.targets.programs.isEmpty })
    let second = try #require(nodes.first { $0 !== first })
    first.client.close()
    world.settle(.milliseconds(100))
    #expect(second.targets.programs.map(\.received) == [Self.request("GET")])
  }

  @Test("a node that nobody waits for is not asked more often than before")
  func quiet() throws {
    let world = try Self.world()
    let node = try Self.share(world, 1)
    /// What the relay sends in a minute.
    func count() -> Int {
      var count = 0
      world.network.onSend = { datagram in
        if datagram.from.with(port: 0) == .serverHost { count += 1 }
      }
      world.settle(.seconds(60))
      world.network.onSend = nil
      return count
    }
    world.settle(.seconds(30))
    let before = count()
    let visitor = try #require(world.ports.visit(8_080))
    visitor.send(Self.request("GET"))
    world.settle(.seconds(5))
    let during = count()
    visitor.reset()
    world.settle(.seconds(5))
    let after = count()
    #expect(node.client.isOpen && node.targets.programs.count == 1)
    #expect(during >= before + 30 && after <= before + 5, "\(before) \(during) \(after)")
  }
}
