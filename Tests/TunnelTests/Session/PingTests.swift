import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Ping")
struct PingTests {
  private func open(_ world: TunnelWorld) throws -> SessionCore {
    try world.open()
    return try #require(world.link.openSession)
  }

  @Test("bytes come back after one round trip, from the other end of the session")
  func answered() throws {
    let world = try TunnelWorld { $0.network.latency = .milliseconds(20) }
    let session = try open(world)
    world.loop.run(for: .seconds(1))
    let pings = Pings()
    var answers: [Bool] = []
    let began = world.loop.now
    pings.send(on: session, loop: world.loop, patience: .seconds(5)) { answers.append($0) }
    world.wait { !answers.isEmpty }
    #expect(answers == [true])
    #expect((.milliseconds(40)...(.milliseconds(50))).contains(world.loop.now - began))
  }

  @Test("several under way are told apart, and what does not come back is told once")
  func lost() throws {
    let world = try TunnelWorld()
    let session = try open(world)
    let pings = Pings()
    var answers: [String] = []
    pings.send(on: session, loop: world.loop, patience: .seconds(5)) { answers.append("a \($0)") }
    pings.send(on: session, loop: world.loop, patience: .seconds(5)) { answers.append("b \($0)") }
    world.wait { answers.count == 2 }
    world.cutNetwork()
    pings.send(on: session, loop: world.loop, patience: .seconds(5)) { answers.append("c \($0)") }
    world.loop.run(for: .seconds(6))
    #expect(answers == ["a true", "b true", "c false"])
    world.mendNetwork()
    world.loop.run(for: .seconds(10))
    #expect(answers.count == 3)
  }

  @Test("those that wait hear of the end")
  func abandoned() throws {
    let world = try TunnelWorld()
    let session = try open(world)
    let pings = Pings()
    var answers: [Bool] = []
    world.cutNetwork()
    pings.send(on: session, loop: world.loop, patience: .seconds(5)) { answers.append($0) }
    pings.abandon(on: world.loop)
    #expect(answers == [false])
  }

  @Test("who asks without end and hears nothing fills no memory")
  func flood() throws {
    let world = try TunnelWorld()
    let session = try open(world)
    var heard = 0
    session.onPong = { _ in heard += 1 }
    for _ in 0..<1_000 { session.ping([UInt8](repeating: 1, count: ControlMessage.pingMax)) }
    world.loop.run(for: .seconds(10))
    #expect(heard > 0 && heard < 1_000)
    // The session is none the worse.
    let before = heard
    session.ping([1])
    world.loop.run(for: .seconds(1))
    #expect(heard == before + 1)
  }
}
