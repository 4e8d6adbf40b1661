import Testing

@testable import QuicTransport

@Suite("StreamScheduler")
struct StreamSchedulerTests {
  /// Streams of a real connection; none has anything to send.
  private func streams(_ count: Int) throws -> (World, [StreamCore]) {
    let world = try World()
    let (client, _) = try world.connect()
    return (world, try (0..<count).map { _ in try client.open().stream })
  }

  @Test("a stream with more to send keeps its turn until it is used up")
  func turn() throws {
    let (world, streams) = try streams(2)
    var scheduler = StreamScheduler()
    for stream in streams { scheduler.enqueue(stream) }
    scheduler.sent(30_000, hasMore: true)
    #expect(scheduler.current === streams[0])
    scheduler.sent(3_000, hasMore: true)
    #expect(scheduler.current === streams[1])
    withExtendedLifetime(world) {}
  }

  @Test("busy streams take turns")
  func roundRobin() throws {
    let (world, streams) = try streams(3)
    var scheduler = StreamScheduler()
    for stream in streams { scheduler.enqueue(stream) }
    var order: [StreamID] = []
    for _ in 0..<9 {
      if let current = scheduler.current { order.append(current.id) }
      scheduler.sent(40_000, hasMore: true)
    }
    let ids = streams.map(\.id)
    #expect(order == ids + ids + ids)
    withExtendedLifetime(world) {}
  }

  @Test("a stream that was idle goes before those that used up a turn")
  func freshFirst() throws {
    let (world, streams) = try streams(3)
    var scheduler = StreamScheduler()
    scheduler.enqueue(streams[0])
    scheduler.enqueue(streams[1])
    scheduler.sent(40_000, hasMore: true)
    scheduler.sent(40_000, hasMore: true)
    scheduler.enqueue(streams[2])
    #expect(scheduler.current === streams[2])
    scheduler.sent(10, hasMore: false)
    #expect(scheduler.current === streams[0])
    #expect(streams[2].sendState == .idle)
    withExtendedLifetime(world) {}
  }

  @Test("a stream is queued once, and not at all while it is blocked")
  func once() throws {
    let (world, streams) = try streams(1)
    var scheduler = StreamScheduler()
    scheduler.enqueue(streams[0])
    scheduler.enqueue(streams[0])
    #expect(scheduler.remove(to: .blocked) === streams[0])
    #expect(scheduler.current == nil)
    scheduler.enqueue(streams[0])
    #expect(scheduler.current == nil)
    streams[0].sendState = .idle
    scheduler.enqueue(streams[0])
    #expect(scheduler.current === streams[0])
    scheduler.removeAll()
    #expect(scheduler.current == nil && streams[0].sendState == .idle)
    withExtendedLifetime(world) {}
  }

  @Test("thousands of turns keep the queue in order")
  func manyTurns() throws {
    let (world, streams) = try streams(50)
    var scheduler = StreamScheduler()
    for stream in streams { scheduler.enqueue(stream) }
    for turn in 0..<5_000 {
      #expect(scheduler.current === streams[turn % 50])
      scheduler.sent(40_000, hasMore: true)
    }
    withExtendedLifetime(world) {}
  }
}
