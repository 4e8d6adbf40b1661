import CNgtcp2
import Simulation
import Testing

@testable import QuicTransport

@Suite("TLS stream", .timeLimit(.minutes(1)))
struct TLSStreamTests {
  /// One end, which writes down what it gets.
  private final class End: TLSStreamDelegate {
    let stream: TLSStream
    var isReady = false
    var got: [UInt8] = []
    var writableCount = 0
    var ended: String?

    init(
      _ socket: SimStreamSocket, _ role: TLSStream.Role, _ credentials: TLSStreamCredentials,
      _ loop: SimLoop
    ) throws {
      stream = try TLSStream(socket: socket, role: role, credentials: credentials, loop: loop)
      stream.delegate = self
      stream.start()
    }

    func send(_ bytes: [UInt8]) {
      bytes.withUnsafeBytes { stream.write($0) }
      stream.flush()
    }

    func tlsStreamReady(_ stream: TLSStream) { isReady = true }
    /// In each piece, as it tells the stream.
    var messages = 1

    func tlsStream(_ stream: TLSStream, received bytes: UnsafeRawBufferPointer) -> Int {
      got += bytes
      return messages
    }
    func tlsStreamWritable(_ stream: TLSStream) { writableCount += 1 }
    func tlsStream(_ stream: TLSStream, ended reason: String?) { ended = reason ?? "" }
  }

  /// Streams between one dialer and one listener, each with credentials of its own.
  private struct Scene {
    let loop = SimLoop()
    let dialling: TLSStreamCredentials
    let accepting: TLSStreamCredentials

    init() throws {
      dialling = try TLSStreamCredentials()
      accepting = try TLSStreamCredentials(serverName: "a.example")
    }

    func open(capacity: Int) throws -> (client: End, server: End) {
      let (near, far) = SimStreamSocket.pair(
        loop: loop, capacity: capacity, latency: .milliseconds(1))
      let server = try End(near, .server, accepting, loop)
      let client = try End(far, .client(serverName: nil), dialling, loop)
      return (client, server)
    }
  }

  @Test("what comes in pieces of any size is the same bytes", arguments: [7, 100, 1_333, 65_536])
  func pieces(capacity: Int) throws {
    let scene = try Scene()
    let (client, server) = try scene.open(capacity: capacity)
    #expect(scene.loop.run(for: .seconds(60)) { client.isReady && server.isReady })
    let forth = (0..<40_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    let back = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* 17) }
    client.send(forth)
    server.send(back)
    let isThere = scene.loop.run(for: .seconds(600)) {
      server.got.count == forth.count && client.got.count == back.count
    }
    #expect(isThere && server.got == forth && client.got == back)
    #expect(client.ended == nil && server.ended == nil)
  }

  @Test(
    "what came at once is handled in turns, without another word from the socket",
    arguments: [(1, 256 * 1024), (1_000, 64 * 1024)])
  func turns(messages: Int, most: Int) throws {
    let scene = try Scene()
    let (near, far) = SimStreamSocket.pair(
      loop: scene.loop, capacity: 4 << 20, latency: .milliseconds(1))
    let server = try End(near, .server, scene.accepting, scene.loop)
    let client = try End(far, .client(serverName: nil), scene.dialling, scene.loop)
    #expect(scene.loop.run(for: .seconds(5)) { client.isReady && server.isReady })
    near.handler = nil
    let much = (0..<(2 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    client.send(much)
    client.stream.close(orderly: true)
    scene.loop.run(for: .seconds(1))
    near.handler = server.stream
    server.messages = messages
    server.stream.streamSocketReady(.readable)
    // A turn of it; the others come by themselves.
    #expect(!server.got.isEmpty && server.got.count <= most)
    scene.loop.run(for: .seconds(1))
    #expect(server.got == much && server.ended == "")
  }

  @Test("new keys of the peer among its data hold nothing up")
  func keyUpdate() throws {
    let scene = try Scene()
    let (client, server) = try scene.open(capacity: 65_536)
    #expect(scene.loop.run(for: .seconds(5)) { client.isReady && server.isReady })
    for number: UInt8 in 1...4 {
      [number].withUnsafeBytes { client.stream.write($0) }
      #expect(gnutls_session_key_update(client.stream.session, 0) == 0)
    }
    client.send([5])
    scene.loop.run(for: .seconds(1))
    #expect(server.got == [1, 2, 3, 4, 5])
  }

  @Test("an idle stream keeps no memory for what leaves: the streams of a listener take turns")
  func memory() throws {
    let scene = try Scene()
    let pairs = try (0..<5).map { _ in try scene.open(capacity: 65_536) }
    #expect(scene.loop.run(for: .seconds(5)) { pairs.allSatisfy { $0.server.isReady } })
    for pair in pairs { pair.server.send([1, 2, 3]) }
    #expect(scene.loop.run(for: .seconds(5)) { pairs.allSatisfy { $0.client.got == [1, 2, 3] } })
    #expect(pairs.allSatisfy { !$0.server.stream.hasMemory && !$0.client.stream.hasMemory })
    #expect(scene.accepting.spareQueue.hasMemory && scene.accepting.spareQueue.count == 0)
  }

  @Test("a stream whose peer does not read has a queue of its own, and others go on")
  func blocked() throws {
    let scene = try Scene()
    let slow = try scene.open(capacity: 2_000)
    let fast = try scene.open(capacity: 65_536)
    #expect(scene.loop.run(for: .seconds(5)) { slow.server.isReady && fast.server.isReady })
    let much = (0..<50_000).map { UInt8(truncatingIfNeeded: $0) }
    slow.server.send(much)
    #expect(slow.server.stream.pendingCount > 0 && slow.server.stream.hasMemory)
    fast.server.send([7])
    #expect(fast.server.stream.pendingCount == 0 && !fast.server.stream.hasMemory)
    #expect(scene.loop.run(for: .seconds(60)) { slow.client.got.count == much.count })
    #expect(slow.client.got == much && fast.client.got == [7])
    #expect(slow.server.writableCount == 1 && !slow.server.stream.hasMemory)
  }
}
