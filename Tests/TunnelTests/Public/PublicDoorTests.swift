import Simulation
import Testing

@testable import QuicTransport
@testable import Tunnel

@Suite("A port that shares have in common", .timeLimit(.minutes(1)))
struct PublicDoorTests {
  private func request(_ host: String) -> [UInt8] {
    Array("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n".utf8)
  }

  private func world() throws -> (PublicWorld, PublicNode, PublicNode) {
    let world = try PublicWorld {
      $0.hasDoor = true
      $0.limits.undecidedMax = 4
      $0.limits.undecidedPerSourceMax = 2
    }
    return (
      world, try world.share(1, kind: .http, name: "one.example.com"),
      try world.share(2, kind: .http, name: "two.example.com")
    )
  }

  @Test("the share that holds the name gets the connection, with what was read of it")
  func names() throws {
    let (world, one, two) = try world()
    #expect(one.granted.first?.port == 8_080 && one.granted.first?.host == "one.example.com")
    let visitor = try #require(world.ports.visit(8_080))
    let bytes = request("TWO.example.com:8080")
    for index in 0..<bytes.count {
      visitor.send([bytes[index]])
      world.settle(.milliseconds(1))
    }
    visitor.send(bytes)
    world.settle()
    #expect(two.targets.programs.map(\.received) == [bytes + bytes])
    #expect(one.targets.programs.isEmpty)
  }

  @Test("a name that nobody holds, and one whose holder left, lead nowhere")
  func nobody() throws {
    let (world, one, _) = try world()
    one.client.close()
    world.settle()
    for host in ["three.example.com", "one.example.com", "", "a b"] {
      let visitor = try #require(world.ports.visit(8_080))
      visitor.send(request(host))
      world.settle()
      #expect(visitor.isOver, "\(host)")
    }
    #expect(world.listeners.visitorsOpen == 0)
  }

  @Test("who says nothing, too slowly or too much is sent away, and others find room")
  func slow() throws {
    let (world, one, _) = try world()
    let slow = try (0..<3).map { _ in try #require(world.ports.visit(8_080)) }
    world.settle(.milliseconds(100))
    let first = slow.map(\.isOver)
    #expect(first == [false, false, true])
    let other = try #require(world.ports.visit(8_080, from: .clientHost.with(port: 1)))
    other.send(request("one.example.com"))
    world.settle()
    #expect(one.targets.programs.count == 1 && !slow[0].isOver)
    world.settle(.seconds(10))
    let over = slow.map(\.isOver)
    #expect(over == [true, true, true])
    let large = try #require(world.ports.visit(8_080))
    large.send(Array("GET / HTTP/1.1\r\nX: ".utf8) + [UInt8](repeating: 0x61, count: 20_000))
    world.settle()
    #expect(large.isOver)
  }
}
