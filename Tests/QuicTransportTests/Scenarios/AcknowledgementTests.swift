import QuicTransport
import Simulation
import Testing

@Suite("When acknowledgements leave")
struct AcknowledgementTests {
  private static let latency = Duration.milliseconds(40)

  private static func world(atOnce: Bool) throws -> World {
    try World {
      $0.link.latency = latency
      $0.server.transport.acknowledgesAtOnce = atOnce
    }
  }

  /// How long the server keeps the acknowledgement of a byte that comes alone.
  private func delay(atOnce: Bool) throws -> Duration {
    let world = try Self.world(atOnce: atOnce)
    let (client, _) = try world.connect()
    let connection = try #require(client.connection)
    let stream = try client.open()
    stream.send(1, of: Pattern(seed: 1), finishing: false)
    world.loop.run(for: .seconds(10))
    let start = world.loop.now
    stream.send(1, of: Pattern(seed: 1), finishing: false)
    world.loop.run(for: .seconds(1))
    let heard = try #require(connection.statistics.lastAcknowledged)
    return heard - start - Self.latency * 2
  }

  @Test("of a lone packet in the tick in which it came, where that is asked for")
  func lone() throws {
    let usual = try delay(atOnce: false)
    #expect(usual > .zero && usual <= .milliseconds(25), "\(usual)")
    #expect(try delay(atOnce: true) == .zero)
  }

  @Test("of packets that come together in one packet, where it is to leave at once as well")
  func burst() throws {
    let world = try Self.world(atOnce: true)
    let (client, server) = try world.connect()
    let stream = try client.open()
    world.loop.run(for: .seconds(10))
    let connection = try #require(server.connection)
    let before = connection.statistics
    stream.send(10_000, of: Pattern(seed: 1), finishing: false)
    world.loop.run(for: Self.latency)
    let arrived = connection.statistics.datagramsReceived - before.datagramsReceived
    #expect(arrived > 4 && connection.statistics.datagramsSent == before.datagramsSent + 1)
  }
}
