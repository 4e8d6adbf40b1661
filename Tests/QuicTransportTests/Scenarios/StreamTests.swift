import QuicTransport
import Simulation
import Testing

@Suite("Streams")
struct StreamTests {
  @Test("FIN closes one direction; the other goes on until its own FIN")
  func halfClose() throws {
    let world = try World()
    let (client, server) = try world.connect()
    let pattern = Pattern(seed: 1)
    let near = try client.open()
    near.expect(pattern)
    near.send(1_000, of: pattern, finishing: true)
    world.wait { server.opened.first?.sawEnd == true }
    let far = try #require(server.opened.first)
    #expect(far.received == 1_000)
    #expect(!near.isClosed && !far.isClosed)
    world.loop.run(for: .seconds(5))
    far.send(300_000, of: pattern, finishing: true)
    world.wait { near.isClosed && far.isClosed }
    #expect(near.received == 300_000 && near.wrongAt == nil && near.sawEnd)
    #expect(near.closeError == nil && far.closeError == nil)
    #expect(throws: StreamError.alreadyClosed) { try near.stream.write([1]) }
  }

  @Test("a stream may end without ever carrying a byte")
  func emptyStream() throws {
    let world = try World()
    let (client, server) = try world.connect()
    server.onOpened = { $0.finishesAtEnd = true }
    let near = try client.open()
    near.stream.finish()
    world.wait { near.isClosed }
    #expect(near.sawEnd && near.received == 0)
    #expect(server.opened.first?.sawEnd == true)
  }

  @Test("a reset reaches the peer with its code and takes the unread bytes along")
  func reset() throws {
    let world = try World()
    let (client, server) = try world.connect()
    server.onOpened = { $0.reads = false }
    let near = try client.open()
    near.send(10_000, of: Pattern(seed: 1), finishing: false)
    world.wait { server.opened.first.map { $0.stream.readableCount == 10_000 } ?? false }
    near.stream.reset(code: 77)
    let far = try #require(server.opened.first)
    world.wait { far.resetCode != nil }
    #expect(far.resetCode == 77)
    #expect(far.stream.readableCount == 0)
    #expect(!far.sawEnd)
    #expect(throws: StreamError.alreadyClosed) { try near.stream.write([1]) }
    // The other direction is untouched.
    far.send(5, of: Pattern(seed: 1), finishing: true)
    world.wait { near.isClosed && far.isClosed }
    #expect(near.received == 5)
  }

  @Test("a peer asked to stop sending hears the code and can write no more")
  func stopSending() throws {
    let world = try World()
    let (client, server) = try world.connect()
    let near = try client.open()
    near.send(1_000, of: Pattern(seed: 1), finishing: false)
    world.wait { server.opened.first?.received == 1_000 }
    server.opened[0].stream.stopReceiving(code: 99)
    world.wait { near.stopCode != nil }
    #expect(near.stopCode == 99)
    #expect(throws: StreamError.stopped(code: 99)) { try near.stream.write([1]) }
    #expect(near.stream.sendCapacity == 0)
    server.opened[0].stream.finish()
    world.wait { near.isClosed && server.opened[0].isClosed }
  }

  @Test("a stop before the peer's first write is honoured as well")
  func stopAtOnce() throws {
    let world = try World()
    let (client, server) = try world.connect()
    server.onOpened = { $0.stream.stopReceiving(code: 5) }
    let near = try client.open()
    near.send(2_000_000, of: Pattern(seed: 1), finishing: true)
    world.wait { near.stopCode == 5 }
    #expect(server.opened[0].received == 0)
  }

  @Test("unidirectional streams carry bytes one way and refuse the other")
  func unidirectional() throws {
    let world = try World()
    let (client, server) = try world.connect()
    let near = try client.open(unidirectional: true)
    #expect(near.stream.id.isUnidirectional && !near.stream.id.isServerInitiated)
    near.send(100, of: Pattern(seed: 1), finishing: true)
    world.wait { near.isClosed && server.opened.first?.isClosed == true }
    #expect(server.opened[0].received == 100 && server.opened[0].sawEnd)
    #expect(throws: StreamError.alreadyClosed) { try server.opened[0].stream.write([1]) }
  }

  @Test("streams left open when the connection ends hear its error")
  func connectionLost() throws {
    let world = try World()
    let (client, server) = try world.connect()
    let near = try client.open()
    near.send(10, of: Pattern(seed: 1), finishing: false)
    world.wait { server.opened.count == 1 }
    server.connection?.close(code: 3, reason: "enough")
    world.wait { near.isClosed && server.opened[0].isClosed }
    let remote = QuicError.application(code: 3, isRemote: true, reason: "enough")
    #expect(near.closeError == remote)
    #expect(
      server.opened[0].closeError == .application(code: 3, isRemote: false, reason: "enough"))
    #expect(throws: StreamError.connectionLost(remote)) { try near.stream.write([1]) }
    #expect(throws: StreamError.connectionLost(remote)) { try client.open() }
    #expect(throws: DatagramError.connectionLost(remote)) {
      try client.connection?.sendDatagram([1])
    }
  }

  @Test("a stream beyond the peer's limit is refused until the peer is done with an earlier one")
  func streamLimit() throws {
    let world = try World { $0.server.transport.bidirectionalStreamsMax = 3 }
    let (client, server) = try world.connect()
    server.onOpened = { $0.reads = false }
    let allowed = client.allowances
    let streams = try (0..<3).map { _ in try client.open() }
    #expect(throws: StreamError.limitReached) { try client.open() }
    for stream in streams { stream.send(500, of: Pattern(seed: 1), finishing: true) }
    world.wait { server.opened.count == 3 }
    server.opened[0].stream.finish()
    world.wait { streams[0].isClosed }
    world.loop.run(for: .seconds(1))
    // QUIC is done with the stream, but its bytes still occupy the server.
    #expect(client.allowances == allowed)
    #expect(throws: StreamError.limitReached) { try client.open() }
    server.opened[0].reads = true
    world.wait { client.allowances == allowed + 1 }
    _ = try client.open()
    #expect(throws: StreamError.limitReached) { try client.open() }
  }

  @Test("a closed stream whose unread bytes are given up makes room for another")
  func abandonedAfterClose() throws {
    let world = try World { $0.server.transport.bidirectionalStreamsMax = 1 }
    let (client, server) = try world.connect()
    server.onOpened = { $0.reads = false }
    for round in 0..<5 {
      let near = try client.open()
      near.send(500, of: Pattern(seed: 1), finishing: true)
      world.wait { server.opened.count == round + 1 }
      server.opened[round].stream.finish()
      world.wait { near.isClosed && server.opened[round].isClosed }
      server.opened[round].stream.stopReceiving(code: 1)
      let allowed = client.allowances
      world.wait(.seconds(1)) { client.allowances == allowed + 1 }
    }
  }

  @Test("a message on a fresh stream overtakes bulk that waits for the link")
  func freshStreamFirst() throws {
    let world = try World {
      $0.link.bitsPerSecond = 10_000_000
      $0.link.queueBytes = 20_000
    }
    let (client, server) = try world.connect()
    let bulk = try client.open(unidirectional: true)
    bulk.send(3_000_000, of: Pattern(seed: 1), finishing: true)
    world.loop.run(for: .milliseconds(800))
    #expect(bulk.stream.unacknowledgedCount > 100_000)
    let started = world.loop.now
    let message = try client.open()
    message.send(20, of: Pattern(seed: 2), finishing: true)
    world.wait { server.opened.count == 2 && server.opened[1].sawEnd }
    // The link's own queue is 16 ms, a few packets more may be paced ahead.
    #expect(world.loop.now - started < .milliseconds(60))
  }
}
