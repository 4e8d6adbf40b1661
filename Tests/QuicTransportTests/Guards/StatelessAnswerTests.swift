import QuicTransport
import Simulation
import Testing

@Suite("Answers to strangers")
struct StatelessAnswerTests {
  private static let stranger = SocketAddress.otherHost.with(port: 7_777)

  private func answers(
    _ world: World, to bytes: [UInt8], from: SocketAddress = stranger, count: Int = 1
  ) -> [SimDatagram] {
    var answers: [SimDatagram] = []
    world.network.onSend = { if $0.to == from { answers.append($0) } }
    for _ in 0..<count {
      world.network.inject(bytes, from: from, to: world.serverSocket.localAddress)
    }
    world.loop.run(for: .milliseconds(100))
    return answers
  }

  private let unknownVersion: [UInt8] =
    [0xc3, 0x0a, 0x0a, 0x0a, 0x0a, 8, 1, 2, 3, 4, 5, 6, 7, 8, 3, 9, 9, 9]
    + [UInt8](repeating: 0, count: 1_182)

  @Test("a stateless reset is smaller than what it answers, so that it cannot go back and forth")
  func resetSize() throws {
    let world = try World()
    for count in 21..<120 {
      let packet = [UInt8](repeating: 0x4f, count: count)
      let answers = answers(world, to: packet)
      #expect(answers.count == (count > 41 ? 1 : 0), "\(count) bytes")
      for answer in answers {
        #expect(answer.bytes.count < count && answer.bytes[0] & 0xc0 == 0x40)
      }
    }
  }

  @Test("answers to one source are limited to a burst and a rate, whatever port it comes from")
  func rate() throws {
    let world = try World()
    let first = answers(world, to: unknownVersion, count: 2_000)
    #expect(first.count == 20)
    // 80 a second: the 100 ms that passed earned 7 or 8 more.
    let other = Self.stranger.with(port: 7_778)
    let second = answers(world, to: unknownVersion, from: other, count: 2_000)
    #expect(second.count >= 7 && second.count <= 8)
  }

  @Test(
    "services that answer anything are not answered", arguments: [0, 19, 53, 123, 1_900, 11_211])
  func reflectors(port: UInt16) throws {
    let world = try World()
    let from = SocketAddress.otherHost.with(port: port)
    #expect(answers(world, to: unknownVersion, from: from).isEmpty)
    #expect(answers(world, to: [UInt8](repeating: 0x4f, count: 100), from: from).isEmpty)
  }

  @Test("an endpoint that only dials does not negotiate versions")
  func dialer() throws {
    let world = try World { $0.server.acceptsConnections = false }
    #expect(answers(world, to: unknownVersion).isEmpty)
  }
}
