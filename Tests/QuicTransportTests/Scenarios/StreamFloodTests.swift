import QuicTransport
import Simulation
import Testing

/// A peer that opens streams as fast as it may, to break them off at once.
@Suite("Stream floods")
struct StreamFloodTests {
  /// Floods for a while; returns how many streams the peer could open.
  private func flood(
    _ world: World, _ client: ConnectionProbe, for duration: Duration,
    _ spoil: (StreamProbe) throws -> Void
  ) throws -> Int {
    let end = world.loop.now + duration
    var count = 0
    while world.loop.now < end {
      // As many as the peer has leave for.
      while let stream = try? client.open() {
        try spoil(stream)
        count += 1
      }
      world.loop.run(for: .milliseconds(1))
    }
    return count
  }

  @Test("streams that are reset at once are granted again at a rate, after the first burst")
  func resets() throws {
    let world = try World {
      $0.server.transport.bidirectionalStreamsMax = 100
      $0.server.transport.brokenStreamsPerSecond = 200
    }
    let (client, server) = try world.connect()
    let count = try flood(world, client, for: .seconds(10)) {
      try $0.stream.write([1])
      $0.stream.reset(code: 1)
      $0.stream.stopReceiving(code: 1)
    }
    // The limit and the burst, then ten seconds.
    #expect(count > 2_000 && count <= 100 + 200 + 2_000, "\(count) streams")
    #expect(client.error == nil && server.error == nil)
  }

  @Test("streams that our side refuses count as well")
  func refused() throws {
    let world = try World {
      $0.server.transport.bidirectionalStreamsMax = 100
      $0.server.transport.brokenStreamsPerSecond = 200
    }
    world.onAccepted = {
      $0.onOpened = { probe in
        probe.stream.reset(code: 7)
        probe.stream.stopReceiving(code: 7)
      }
    }
    let (client, _) = try world.connect()
    let count = try flood(world, client, for: .seconds(5)) {
      try $0.stream.write([1])
      $0.stream.finish()
    }
    #expect(count > 1_000 && count <= 100 + 200 + 1_000, "\(count) streams")
  }

  @Test("streams that were of use are granted again at once, however they end")
  func useful() throws {
    let world = try World {
      $0.server.transport.bidirectionalStreamsMax = 100
      $0.server.transport.brokenStreamsPerSecond = 1
    }
    world.onAccepted = {
      $0.onOpened = { probe in try? probe.stream.write([1, 2, 3]) }
    }
    let (client, _) = try world.connect()
    var count = 0
    for round in 0..<40 {
      let streams = (0..<50).compactMap { _ in try? client.open() }
      #expect(streams.count == 50, "round \(round)")
      for stream in streams { try stream.stream.write([1]) }
      world.wait { streams.allSatisfy { $0.received == 3 } }
      for stream in streams {
        stream.stream.reset(code: 1)
        stream.stream.stopReceiving(code: 1)
      }
      count += streams.count
      world.loop.run(for: .milliseconds(200))
    }
    #expect(count == 2_000)
  }

  @Test("a peer that was held back gets its whole limit again, without asking")
  func recovers() throws {
    let world = try World {
      $0.server.transport.bidirectionalStreamsMax = 100
      $0.server.transport.brokenStreamsPerSecond = 50
    }
    let (client, _) = try world.connect()
    _ = try flood(world, client, for: .seconds(2)) {
      try $0.stream.write([1])
      $0.stream.reset(code: 1)
      $0.stream.stopReceiving(code: 1)
    }
    world.loop.run(for: .seconds(10))
    let streams = (0..<100).compactMap { _ in try? client.open() }
    #expect(streams.count == 100)
  }
}
