import CNgtcp2
import Simulation
import Testing

@testable import QuicTransport

@Suite("Flow control")
struct FlowControlTests {
  /// How long `count` streams of `bytes` each take beside one whose reader has stopped, and what is
  /// held for that one.
  private func transfer(
    _ count: Int, of bytes: Int, stopped: Bool
  ) throws -> (elapsed: Duration, held: Int) {
    let world = try World {
      $0.link.bitsPerSecond = 200_000_000
      $0.link.queueBytes = 500_000
    }
    let (client, server) = try world.connect()
    let pattern = Pattern(seed: 1)
    server.onOpened = { [unowned server] probe in
      probe.expect(pattern)
      if stopped, server.opened.count == 1 { probe.reads = false }
    }
    if stopped {
      try client.open().send(20_000_000, of: pattern, finishing: true)
      world.loop.run(for: .seconds(1))
    }
    let started = world.loop.now
    let streams = try (0..<count).map { _ in try client.open() }
    for stream in streams { stream.send(bytes, of: pattern, finishing: true) }
    world.wait { server.opened.filter(\.sawEnd).count == count }
    #expect(server.opened.allSatisfy { $0.wrongAt == nil })
    return (world.loop.now - started, server.opened[0].stream.readableCount)
  }

  @Test("a stopped reader holds less than 1 MiB and costs the others under a fifth of their rate")
  func stoppedReader() throws {
    let alone = try transfer(20, of: 200_000, stopped: false)
    let beside = try transfer(20, of: 200_000, stopped: true)
    #expect(beside.held > 0 && beside.held <= 1 << 20)
    #expect(beside.elapsed.seconds < alone.elapsed.seconds / 0.8)
  }

  @Test("many stopped readers together hold no more than the window and the allowance for them")
  func manyStoppedReaders() throws {
    let world = try World {
      $0.server.transport.connectionWindowInitial = 300_000
      $0.server.transport.connectionWindowMax = 300_000
      $0.server.transport.stalledBytesMax = 500_000
      $0.server.transport.streamWindowInitial = 100_000
    }
    let (client, server) = try world.connect()
    let pattern = Pattern(seed: 1)
    server.onOpened = { probe in
      probe.reads = false
      probe.expect(pattern)
    }
    let streams = try (0..<20).map { _ in try client.open(unidirectional: true) }
    for stream in streams { stream.send(150_000, of: pattern, finishing: true) }
    world.loop.run(for: .seconds(10))
    let held = server.opened.reduce(0) { $0 + $1.stream.readableCount }
    #expect(held > 300_000 && held <= 800_000)
    // Nothing is lost: once they read, everything arrives.
    server.onOpened = { $0.expect(pattern) }
    for probe in server.opened { probe.reads = true }
    world.wait { server.opened.count == 20 && server.opened.allSatisfy(\.sawEnd) }
    #expect(server.opened.allSatisfy { $0.received == 150_000 && $0.wrongAt == nil })
  }

  @Test("a stream sends no more than its window while nobody reads")
  func streamWindow() throws {
    let world = try World { $0.server.transport.streamWindowInitial = 50_000 }
    let (client, server) = try world.connect()
    server.onOpened = { $0.reads = false }
    let near = try client.open()
    near.send(200_000, of: Pattern(seed: 1), finishing: true)
    world.loop.run(for: .seconds(5))
    #expect(server.opened[0].stream.readableCount == 50_000)
    server.opened[0].reads = true
    world.wait { server.opened[0].sawEnd }
    #expect(server.opened[0].received == 200_000)
  }

  @Test("streams without credit share what may wait to be sent, and leave room for another")
  func stoppedReaders() throws {
    let total = 1 << 20
    let world = try World {
      $0.client.transport.streamWindowInitial = 100
      $0.server.transport.unsentBytesTotalMax = total
    }
    let (client, server) = try world.connect()
    let pattern = Pattern(seed: 1)
    server.onOpened = { $0.send(200_000, of: pattern, finishing: true) }
    for _ in 0..<200 {
      let near = try client.open()
      near.reads = false
      near.expect(pattern)
      near.send(1, of: pattern, finishing: true)
    }
    world.loop.run(for: .seconds(5))
    let sender = try #require(server.connection)
    let held = server.opened.reduce(0) { $0 + $1.stream.unacknowledgedCount }
    #expect(server.opened.count == 200 && server.opened.allSatisfy { $0.sent > 0 })
    // Each may take the least share, whatever is left.
    #expect(held > total / 2 && held <= total + 200 * 1_024)
    #expect(sender.unsentBytes <= held)
    // Nothing is lost, and nothing stays counted: once they read, everything arrives.
    for probe in client.own { probe.reads = true }
    world.wait { client.own.allSatisfy(\.sawEnd) }
    #expect(client.own.allSatisfy { $0.received == 200_000 && $0.wrongAt == nil })
    world.loop.run(for: .seconds(1))
    #expect(sender.unsentBytes == 0)
  }

  @Test("windows grow with a fast reader, up to the maximum")
  func tuning() throws {
    let world = try World {
      $0.link.latency = .milliseconds(50)
      $0.server.transport.streamWindowInitial = 64 * 1024
      $0.server.transport.connectionWindowInitial = 64 * 1024
    }
    let (client, server) = try world.connect()
    let near = try client.open()
    let started = world.loop.now
    near.send(8_000_000, of: Pattern(seed: 1), finishing: true)
    world.wait { server.opened.first?.sawEnd == true }
    // With the first window it would take 8 MB / 64 KiB round trips of 0.1 s: 12 s.
    #expect(world.loop.now - started < .seconds(3))
  }

  @Test("10 000 streams reset with unread data leave the connection's credit as it was")
  func resetStorm() throws {
    try storm(lossRate: 0, seed: 1)
  }

  @Test("resets, stops and losses together leave the credit as it was", arguments: Seeds.first(20))
  func lossyStorm(seed: UInt64) throws {
    try storm(lossRate: 0.05, seed: seed, streams: 1_000)
  }

  private func storm(lossRate: Double, seed: UInt64, streams count: Int = 10_000) throws {
    let window = 4 * 1024 * 1024
    let world = try World {
      $0.seed = seed
      $0.link.lossRate = lossRate
      $0.server.transport.connectionWindowInitial = window
      $0.server.transport.connectionWindowMax = window
    }
    let (client, server) = try world.connect()
    let pattern = Pattern(seed: 1)
    var accepted = 0
    server.onOpened = { probe in
      accepted += 1
      probe.reads = false
      probe.stream.finish()
      // Every third one is abandoned by the server instead.
      if accepted % 3 == 0 { probe.stream.stopReceiving(code: 2) }
    }
    for _ in 0..<count / 100 {
      let streams = try (0..<100).map { _ in try client.open() }
      for stream in streams { stream.send(1_500, of: pattern, finishing: false) }
      world.loop.run(for: .milliseconds(15))
      for stream in streams { stream.stream.reset(code: 1) }
      world.loop.run(for: .milliseconds(15))
      client.forgetStreams()
      server.forgetStreams()
    }
    world.loop.run(for: .seconds(20))
    let connection = try #require(server.connection)
    let other = try #require(client.connection)
    #expect(connection.streams.isEmpty && other.streams.isEmpty)
    #expect(connection.flow.held == 0)
    #expect(connection.flow.granted == connection.flow.consumed + UInt64(window))
    // ngtcp2 tells the peer of new credit once it is half a window.
    let left = Int(ngtcp2_conn_get_max_data_left(other.handle))
    #expect(left > window / 2 && left <= window)

    server.onOpened = { $0.expect(pattern) }
    let fresh = try client.open()
    fresh.send(6_000_000, of: pattern, finishing: true)
    world.wait { server.opened.last?.sawEnd == true }
    #expect(server.opened.last?.received == 6_000_000 && server.opened.last?.wrongAt == nil)
  }
}
