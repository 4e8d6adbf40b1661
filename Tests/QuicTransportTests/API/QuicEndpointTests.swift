import Simulation
import Testing

@testable import QuicTransport

/// The async API in virtual time: nothing here sleeps or depends on a thread.
@Suite("QuicEndpoint, QuicConnection, QuicStream")
struct QuicEndpointTests {
  /// A server and a client; used by tasks of its loop only.
  private final class Stage: @unchecked Sendable {
    let loop = SimLoop()
    let network: SimNetwork

    init(seed: UInt64 = 1, _ configure: (inout LinkSettings) -> Void = { _ in }) {
      var link = LinkSettings()
      configure(&link)
      network = SimNetwork(loop: loop, seed: seed, defaults: link)
    }

    func endpoint(
      _ identity: Identity, at address: SocketAddress,
      _ configure: (inout EndpointSettings) -> Void = { _ in }
    ) async throws -> QuicEndpoint {
      var settings = EndpointSettings(
        authentication: .rawPublicKey(identity), applicationProtocols: ["qtun/1"],
        transport: TransportSettings(), acceptsConnections: true)
      configure(&settings)
      return try await QuicEndpoint.open(binding: address, settings: settings, loop: loop) {
        [self] address throws(RuntimeError) in network.bind(address)
      }
    }

    func server(
      _ configure: (inout EndpointSettings) -> Void = { _ in }
    ) async throws -> QuicEndpoint {
      try await endpoint(.fixture(1), at: SocketAddress.serverHost.with(port: 4_433), configure)
    }

    func client() async throws -> QuicEndpoint {
      try await endpoint(.fixture(2), at: .clientHost)
    }

    /// Two connected ends, with their endpoints to keep.
    func connected(
      _ configure: (inout EndpointSettings) -> Void = { _ in }
    ) async throws -> (near: QuicConnection, far: QuicConnection, keep: [QuicEndpoint]) {
      let server = try await server(configure)
      let client = try await client()
      let near = try await client.connect(to: target)
      let far = try #require(await server.accept())
      return (near, far, [server, client])
    }

    var target: ConnectTarget {
      ConnectTarget(
        address: SocketAddress.serverHost.with(port: 4_433),
        expectedPeer: Identity.fixture(1).publicKey, serverName: nil)
    }

    /// Waits in virtual time.
    func pause(_ duration: Duration) async {
      await withCheckedContinuation { continuation in
        loop.after(duration) { continuation.resume() }
      }
    }

    /// Runs `body` on the loop; it must end within an hour of virtual time.
    func run<Result: Sendable>(
      _ body: @escaping @Sendable () async throws -> Result
    ) throws -> Result {
      let result = try loop.run(for: .seconds(3_600), body)
      return try #require(result, "still running after an hour")
    }
  }

  @Test("a message goes there and back")
  func echo() throws {
    let stage = Stage()
    try stage.run {
      let (near, far, keep) = try await stage.connected()
      #expect(await far.peer == Identity.fixture(2).publicKey)
      let stream = try await near.openStream()
      try await stream.write(Array("hello".utf8))
      await stream.finish()
      let other = try await far.acceptStream()
      let question = try await other.readToEnd(limit: 100)
      try await other.write(question + question)
      await other.finish()
      #expect(try await stream.readToEnd(limit: 100) == Array("hellohello".utf8))
      withExtendedLifetime(keep) {}
    }
  }

  @Test("streams that are let go make room for others, unread or half written")
  func abandoned() throws {
    let stage = Stage()
    try stage.run {
      let (near, far, keep) = try await stage.connected {
        $0.transport.bidirectionalStreamsMax = 2
      }
      for round in 0..<10 {
        let stream = try await near.openStream()
        try await stream.write([UInt8](repeating: 1, count: 1_000))
        if round % 2 == 0 { await stream.finish() }
        _ = try await far.acceptStream()
        await stage.pause(.milliseconds(100))
        if round % 2 == 0 {
          await #expect(throws: StreamError.reset(code: 0)) { try await stream.read(upTo: 1) }
        }
      }
      withExtendedLifetime(keep) {}
    }
  }

  /// 30 flows at once, each 100 000 bytes there and back; returns what to compare.
  private func busy(seed: UInt64) throws -> (TraceHash, Duration) {
    let stage = Stage(seed: seed) {
      $0.lossRate = 0.02
      $0.jitter = .milliseconds(2)
    }
    try stage.run {
      let (near, far, keep) = try await stage.connected()
      let echo = Task(executorPreference: stage.loop) {
        try await withThrowingTaskGroup(of: Void.self) { group in
          for _ in 0..<30 {
            let stream = try await far.acceptStream()
            group.addTask {
              while case let bytes = try await stream.read(upTo: 8_192), !bytes.isEmpty {
                try await stream.write(bytes)
              }
              await stream.finish()
            }
          }
          try await group.waitForAll()
        }
      }
      try await withThrowingTaskGroup(of: Void.self) { group in
        for number in 0..<30 {
          group.addTask {
            let stream = try await near.openStream()
            let bytes = [UInt8](repeating: UInt8(number), count: 100_000)
            let writer = Task(executorPreference: stage.loop) {
              try await stream.write(bytes)
              await stream.finish()
            }
            #expect(try await stream.readToEnd(limit: 100_000) == bytes)
            try await writer.value
          }
        }
        try await group.waitForAll()
      }
      try await echo.value
      withExtendedLifetime(keep) {}
    }
    return (stage.network.trace, stage.loop.elapsed)
  }

  @Test("thirty flows of tasks and actors run alike for one seed", arguments: Seeds.first(5))
  func determinism(seed: UInt64) throws {
    let first = try busy(seed: seed)
    #expect(try busy(seed: seed) == first)
    #expect(try busy(seed: seed &+ 1) != first)
  }

  @Test("a writer waits while its peer does not read")
  func backPressure() throws {
    let stage = Stage()
    try stage.run {
      let (near, far, keep) = try await stage.connected {
        $0.transport.streamWindowInitial = 50_000
      }
      let stream = try await near.openStream()
      let writer = Task(executorPreference: stage.loop) {
        try await stream.write([UInt8](repeating: 1, count: 5_000_000))
        await stream.finish()
      }
      let other = try await far.acceptStream()
      _ = try await other.read(upTo: 1)
      await stage.pause(.seconds(20))
      // The window and what packets and probes add to it.
      let received = await far.statistics.bytesReceived
      #expect(received > 50_000 && received < 65_000)
      #expect(try await other.readToEnd(limit: 5_000_000).count == 4_999_999)
      try await writer.value
      withExtendedLifetime(keep) {}
    }
  }

  @Test("errors of the handshake are thrown")
  func handshakeErrors() throws {
    let stage = Stage()
    try stage.run {
      let server = try await stage.server()
      let client = try await stage.client()
      var wrong = stage.target
      wrong.expectedPeer = Identity.fixture(9).publicKey
      await #expect(
        throws: QuicError.identityMismatch(
          expected: Identity.fixture(9).publicKey, actual: Identity.fixture(1).publicKey)
      ) { try await client.connect(to: wrong) }
      var nobody = stage.target
      nobody.address = SocketAddress.otherHost.with(port: 1)
      await #expect(throws: QuicError.handshakeTimeout) { try await client.connect(to: nobody) }
      withExtendedLifetime(server) {}
    }
  }

  @Test("a cancelled task stops waiting at once, and the stream remains usable")
  func cancellation() throws {
    let stage = Stage()
    try stage.run {
      let (near, far, keep) = try await stage.connected()
      let stream = try await near.openStream()
      try await stream.write([1])
      let other = try await far.acceptStream()
      let reader = Task(executorPreference: stage.loop) { try await stream.read(upTo: 10) }
      await stage.pause(.seconds(1))
      let before = stage.loop.now
      reader.cancel()
      await #expect(throws: StreamError.cancelled) { try await reader.value }
      #expect(stage.loop.now == before)
      try await other.write([2])
      #expect(try await stream.read(upTo: 10) == [2])
      withExtendedLifetime(keep) {}
    }
  }

  @Test("resets, stops and the end of the connection wake those who wait")
  func endings() throws {
    let stage = Stage()
    try stage.run {
      let (near, far, keep) = try await stage.connected()
      let stream = try await near.openStream()
      try await stream.write([1])
      let other = try await far.acceptStream()
      _ = try await other.read(upTo: 1)

      let reader = Task(executorPreference: stage.loop) { try await other.read(upTo: 1) }
      await stage.pause(.seconds(1))
      await stream.reset(code: 8)
      await #expect(throws: StreamError.reset(code: 8)) { try await reader.value }

      let writer = Task(executorPreference: stage.loop) {
        try await other.write([UInt8](repeating: 0, count: 10_000_000))
      }
      await stage.pause(.seconds(1))
      await stream.stopReading(code: 9)
      await #expect(throws: StreamError.stopped(code: 9)) { try await writer.value }

      let waiter = Task(executorPreference: stage.loop) { try await near.acceptStream() }
      await stage.pause(.seconds(1))
      await far.close(code: 5, reason: "done")
      let error = QuicError.application(code: 5, isRemote: true, reason: "done")
      await #expect(throws: StreamError.connectionLost(error)) { try await waiter.value }
      #expect(await near.closed == error)
      withExtendedLifetime(keep) {}
    }
  }

  @Test("opening waits while the peer allows no more streams")
  func streamLimit() throws {
    let stage = Stage()
    try stage.run {
      let (near, far, keep) = try await stage.connected {
        $0.transport.bidirectionalStreamsMax = 1
      }
      let first = try await near.openStream()
      let second = Task(executorPreference: stage.loop) { try await near.openStream().id }
      await stage.pause(.seconds(1))
      await first.finish()
      let other = try await far.acceptStream()
      await other.finish()
      _ = try await other.readToEnd(limit: 0)
      _ = try await first.readToEnd(limit: 0)
      #expect(try await second.value != first.id)
      withExtendedLifetime(keep) {}
    }
  }

  @Test("datagrams are received in order, and a migration keeps the connection")
  func datagramsAndMigration() throws {
    let stage = Stage()
    try stage.run {
      let (near, far, keep) = try await stage.connected()
      for number in UInt8(0)..<5 { try await near.sendDatagram([number]) }
      for number in UInt8(0)..<5 { #expect(try await far.receiveDatagram() == [number]) }
      await stage.pause(.seconds(1))
      let elsewhere = try await keep[1].bindAnother(.otherHost, towards: .serverHost)
      #expect(await near.migrate(to: elsewhere))
      try await near.sendDatagram([9])
      #expect(try await far.receiveDatagram() == [9])
      await stage.pause(.seconds(1))
      #expect(await far.path.remote == elsewhere)
    }
  }

  @Test("connections that nobody accepts are bounded, and those that gave up make room")
  func backlog() throws {
    let stage = Stage()
    try stage.run {
      let server = try await stage.server()
      await server.limitBacklog(to: 20)
      var clients: [QuicEndpoint] = []
      var connections: [QuicConnection] = []
      for _ in 0..<20 {
        clients.append(try await stage.client())
        connections.append(try await clients[clients.count - 1].connect(to: stage.target))
      }
      let late = try await stage.client()
      await #expect(throws: QuicError.handshakeTimeout) { try await late.connect(to: stage.target) }
      for connection in connections.prefix(10) { await connection.close(code: 0, reason: "") }
      await stage.pause(.seconds(1))
      let next = try await late.connect(to: stage.target)
      // The oldest that still lives.
      let taken = try #require(await server.accept())
      #expect(await taken.path.remote == connections[10].path.local)
      withExtendedLifetime((next, clients)) {}
    }
  }
}
