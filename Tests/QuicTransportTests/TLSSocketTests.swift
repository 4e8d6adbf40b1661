import CNgtcp2
import Glibc
import Simulation
import Testing

@testable import QuicTransport

@Suite("TLS socket")
struct TLSSocketTests {
  /// A client with TLS of its own, and a server that reads plaintext.
  private final class Scene: TLSStreamDelegate, StreamSocketHandler {
    let loop = SimLoop()
    let near: SimStreamSocket
    let far: SimStreamSocket
    let client: TLSStream
    let server: TLSSocket
    var isReady = false
    var clientGot: [UInt8] = []
    /// nil until the client's stream is over; then why, or empty.
    var clientEnd: String?
    var serverGot: [UInt8] = []
    var serverEnd: StreamSocketResult?
    var reads = true

    init(capacity: Int = 65_536, isClient: Bool = true) throws {
      (near, far) = SimStreamSocket.pair(loop: loop, capacity: capacity, latency: .milliseconds(1))
      client = try TLSStream(
        socket: far, role: .client(serverName: "a.example"), credentials: TLSStreamCredentials(),
        loop: loop)
      server = try TLSSocket(
        accepting: near, credentials: TLSStreamCredentials(serverName: "a.example"), loop: loop)
      client.delegate = self
      server.handler = self
      server.start()
      if isClient { client.start() }
    }

    func send(_ bytes: [UInt8]) {
      bytes.withUnsafeBytes { client.write($0) }
      client.flush()
    }

    /// As much as the server's socket takes; how much that was.
    func answer(_ bytes: ArraySlice<UInt8>) -> Int {
      bytes.withUnsafeBytes { bytes in
        withUnsafePointer(to: bytes) { piece in
          if case .moved(let count) = server.write(UnsafeBufferPointer(start: piece, count: 1)) {
            count
          } else {
            0
          }
        }
      }
    }

    func readAll() {
      withUnsafeTemporaryAllocation(byteCount: 20_000, alignment: 1) { buffer in
        while reads, serverEnd == nil {
          switch server.read(into: buffer) {
          case .moved(let count):
            serverGot.append(contentsOf: buffer[..<count])
            if count < buffer.count { return }
          case .blocked: return
          case let result: serverEnd = result
          }
        }
      }
    }

    func tlsStreamReady(_ stream: TLSStream) { isReady = true }
    func tlsStream(_ stream: TLSStream, received bytes: UnsafeRawBufferPointer) -> Int {
      clientGot.append(contentsOf: bytes)
      return 1
    }
    func tlsStreamWritable(_ stream: TLSStream) {}
    func tlsStream(_ stream: TLSStream, ended reason: String?) { clientEnd = reason ?? "" }
    func streamSocketConnected() {}
    func streamSocketFailed(_ code: Int32) {}
    func streamSocketReady(_ readiness: Readiness) { readAll() }
  }

  private func pattern(_ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
  }

  @Test(
    "bytes cross both ways, whatever the socket takes at once", arguments: [100, 5_000, 65_536])
  func bothWays(capacity: Int) throws {
    let scene = try Scene(capacity: capacity)
    #expect(scene.loop.run(for: .seconds(5)) { scene.isReady })
    let (forth, back) = (pattern(200_000), pattern(150_000))
    scene.send(forth)
    var sent = 0
    #expect(
      scene.loop.run(for: .seconds(60)) {
        sent += scene.answer(back[sent...])
        return scene.serverGot.count == forth.count && scene.clientGot.count == back.count
      })
    #expect(scene.serverGot == forth && scene.clientGot == back)
  }

  @Test("a client that sends and goes without a word has sent it all")
  func bareEnd() throws {
    let scene = try Scene()
    #expect(scene.loop.run(for: .seconds(5)) { scene.isReady })
    scene.reads = false
    scene.send([1, 2, 3])
    scene.far.finishWriting()
    scene.loop.run(for: .seconds(1))
    scene.reads = true
    scene.readAll()
    scene.loop.run(for: .seconds(1))
    #expect(scene.serverGot == [1, 2, 3])
    guard case .ended? = scene.serverEnd else {
      Issue.record("\(String(describing: scene.serverEnd))")
      return
    }
  }

  @Test("new keys of the client among its data hold nothing up")
  func keyUpdate() throws {
    let scene = try Scene()
    #expect(scene.loop.run(for: .seconds(5)) { scene.isReady })
    for number: UInt8 in 1...4 {
      [number].withUnsafeBytes { scene.client.write($0) }
      #expect(gnutls_session_key_update(scene.client.session, 0) == 0)
    }
    scene.send([5])
    scene.loop.run(for: .seconds(1))
    #expect(scene.serverGot == [1, 2, 3, 4, 5])
  }

  @Test("a server that does not read holds the client back, and misses nothing")
  func backPressure() throws {
    let scene = try Scene(capacity: 4_096)
    #expect(scene.loop.run(for: .seconds(5)) { scene.isReady })
    scene.reads = false
    let bytes = pattern(100_000)
    scene.send(bytes)
    scene.loop.run(for: .seconds(5))
    #expect(scene.near.bytesRead < 10_000 && scene.serverGot.isEmpty)
    scene.reads = true
    scene.readAll()
    #expect(scene.loop.run(for: .seconds(20)) { scene.serverGot.count == bytes.count })
    #expect(scene.serverGot == bytes)
  }

  @Test("the client's end is an end, with close_notify and without", arguments: [true, false])
  func end(orderly: Bool) throws {
    let scene = try Scene()
    #expect(scene.loop.run(for: .seconds(5)) { scene.isReady })
    scene.send([1, 2, 3])
    scene.loop.run(for: .milliseconds(10))
    if orderly { scene.client.close(orderly: true) } else { scene.far.finishWriting() }
    #expect(scene.loop.run(for: .seconds(1)) { scene.serverEnd != nil })
    #expect(scene.serverGot == [1, 2, 3] && scene.serverEnd == .ended)
  }

  @Test(
    "what was taken leaves before the end, also when the socket was full", arguments: [true, false])
  func lastBytes(byClose: Bool) throws {
    let scene = try Scene(capacity: 1_000)
    #expect(scene.loop.run(for: .seconds(5)) { scene.isReady })
    // The tickets of TLS 1.3 leave after the handshake.
    scene.loop.run(for: .seconds(1))
    let bytes = pattern(30_000)
    #expect(scene.answer(bytes[...]) == bytes.count)
    if byClose { scene.server.close(resetting: false) } else { scene.server.finishWriting() }
    #expect(scene.loop.run(for: .seconds(5)) { scene.clientEnd != nil })
    #expect(scene.clientEnd == "" && scene.clientGot == bytes)
    #expect(scene.near.isReleased == byClose)
  }

  @Test("a client that takes nothing more is let go after a while")
  func lingering() throws {
    let scene = try Scene(capacity: 1_000)
    #expect(scene.loop.run(for: .seconds(5)) { scene.isReady })
    // The tickets of TLS 1.3 leave after the handshake.
    scene.loop.run(for: .seconds(1))
    _ = scene.answer(pattern(30_000)[...])
    scene.near.freeze()
    scene.server.close(resetting: false)
    scene.loop.run(for: .seconds(9))
    #expect(!scene.near.isReleased)
    scene.loop.run(for: .seconds(2))
    #expect(scene.near.isReleased)
  }

  @Test("what is no TLS ends the connection, and is none of the reader's")
  func garbage() throws {
    let scene = try Scene(isClient: false)
    let bytes = Array("GET / HTTP/1.1\r\n\r\n".utf8)
    _ = bytes.withUnsafeBytes { bytes in
      withUnsafePointer(to: bytes) { scene.far.write(UnsafeBufferPointer(start: $0, count: 1)) }
    }
    #expect(scene.loop.run(for: .seconds(1)) { scene.serverEnd != nil })
    #expect(scene.serverEnd == .failed(ECONNABORTED) && scene.serverGot.isEmpty)
  }
}
