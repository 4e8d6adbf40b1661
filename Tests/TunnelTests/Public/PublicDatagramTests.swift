import Simulation
import Testing

@testable import QuicTransport
@testable import Tunnel

@Suite("Public UDP ports", .timeLimit(.minutes(1)))
struct PublicDatagramTests {
  @Test("each visitor has a flow of its own, and answers come from the port that it wrote to")
  func visitors() throws {
    let world = try PublicWorld()
    let node = try world.share(1, kind: .udp)
    let server = DatagramProgram(network: world.network, at: SimDatagramTargets.dns)
    server.echoes = true
    let number = try #require(node.port)
    let port = SocketAddress.serverHost.with(port: number)
    let visitors = (0..<3).map { _ in DatagramProgram(network: world.network, at: .otherHost) }
    for (index, visitor) in visitors.enumerated() {
      for size in [1, 900] { visitor.send([UInt8](repeating: UInt8(index), count: size), to: port) }
    }
    world.settle()
    for (index, visitor) in visitors.enumerated() {
      #expect(visitor.received.map(\.count).sorted() == [1, 900])
      #expect(visitor.received.allSatisfy { $0.allSatisfy { $0 == UInt8(index) } })
      #expect(visitor.senders.allSatisfy { $0 == port })
    }
    #expect(node.datagramTargets.openCount == 3)
  }

  @Test("who goes on writing is served by the process that has the port now")
  func takeover() throws {
    let world = try PublicWorld()
    let first = try world.share(1, kind: .udp)
    let number = try #require(first.port)
    let port = SocketAddress.serverHost.with(port: number)
    let server = DatagramProgram(network: world.network, at: SimDatagramTargets.dns)
    server.echoes = true
    let visitor = DatagramProgram(network: world.network, at: .otherHost)
    visitor.send([1], to: port)
    world.settle()
    first.vanish()
    let second = try world.share(1, kind: .udp)
    visitor.send([2], to: port)
    world.settle()
    #expect(visitor.received == [[1], [2]] && second.datagramTargets.openCount == 1)
  }

  @Test("when the share is gone the port is closed; when it is back it is the same")
  func restart() throws {
    let world = try PublicWorld()
    let node = try world.share(1, kind: .udp)
    let port = try #require(node.port)
    let server = DatagramProgram(network: world.network, at: SimDatagramTargets.dns)
    server.echoes = true
    try world.restartRelay(after: .seconds(1))
    world.settle(.seconds(3))
    #expect(node.port == port)
    let visitor = DatagramProgram(network: world.network, at: .otherHost)
    visitor.send([1, 2, 3], to: .serverHost.with(port: port))
    world.settle()
    #expect(visitor.received == [[1, 2, 3]])
  }
}
