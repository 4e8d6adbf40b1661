import CNgtcp2
import Simulation
import Testing

@testable import QuicTransport

/// A NEW_CONNECTION_ID in a 1-RTT packet that reaches a client before its handshake is done aborts
/// ngtcp2 1.11, so such packets wait.
@Suite("F2: 1-RTT packets before the handshake is done")
struct F2Tests {
  /// A server may write as soon as it has seen the ClientHello. Ours never does, so it is forced to:
  /// after the Initial was read, before anything is sent.
  private func writeEarly(_ bytes: [UInt8], in world: World) {
    world.onAccepted = { probe in
      world.loop.after(.zero) {
        guard let connection = probe.connection else { return }
        connection.state = .open
        let stream = try? connection.openStream(unidirectional: true)
        try? stream?.write(bytes)
        stream?.finish()
      }
    }
  }

  @Test("early data of a server waits for the handshake and is not lost")
  func earlyData() throws {
    let world = try World()
    writeEarly([1, 2, 3], in: world)
    var early = 0
    world.network.onSend = { datagram in
      guard world.loop.now < SimLoop.start + .milliseconds(10) else { return }
      datagram.bytes.withUnsafeBytes { bytes in
        if EarlyPacketGuard.longHeaderLength(bytes) < bytes.count { early += 1 }
      }
    }
    let client = try world.dial()
    world.wait(.milliseconds(10)) { client.opened.first?.sawEnd == true }
    #expect(early > 0, "the server sent no 1-RTT packet early: nothing was tested")
    #expect(client.opened.first?.received == 3)
    #expect(client.readyAt == SimLoop.start + .milliseconds(10))
  }

  @Test("1-RTT packets wait as well while pacing keeps a client from answering the handshake")
  func paced() throws {
    // The server's flight is back 20 us after the Initial, which is paced for 80.
    let world = try World { $0.link.latency = .microseconds(10) }
    writeEarly([1, 2, 3], in: world)
    let client = try world.dial()
    client.onReady = { _ = $0.updateKeys() }
    world.loop.run(for: .microseconds(30))
    let connection = try #require(client.connection)
    #expect(ngtcp2_conn_get_handshake_completed(connection.handle) != 0)
    #expect(!connection.hasLeftHandshake && !connection.earlyGuard.held.isEmpty)
    world.wait(.milliseconds(1)) { client.opened.first?.received == 3 }
    #expect(connection.earlyGuard.held.isEmpty)
  }

  @Test("a long header that announces no bytes does not hide the 1-RTT packet behind it")
  func emptyLongHeader() {
    // ngtcp2 skips an Initial or a Handshake packet that it has no key for, and reads on.
    for first in [UInt8(0xc0), 0xe0] {
      let token: [UInt8] = first == 0xc0 ? [0] : []
      let header: [UInt8] = [first, 0, 0, 0, 1, 0, 0] + token + [0]
      let datagram = header + [0x40] + [UInt8](repeating: 7, count: 40)
      let length = datagram.withUnsafeBytes { EarlyPacketGuard.longHeaderLength($0) }
      #expect(length == header.count)
    }
  }

  @Test("1-RTT packets that overtake the handshake are held and replayed")
  func overtaking() throws {
    let world = try World()
    writeEarly([UInt8](repeating: 5, count: 2_000), in: world)
    let link = world.network.link(from: .serverHost, to: .clientHost)
    var sent = 0
    world.network.onSend = { datagram in
      guard datagram.from == world.serverSocket.localAddress else { return }
      sent += 1
      link.settings.latency = sent == 1 ? .milliseconds(8) : .milliseconds(5)
    }
    let client = try world.dial()
    world.loop.run(for: .milliseconds(12))
    let connection = try #require(client.connection)
    #expect(!client.isReady && !connection.earlyGuard.held.isEmpty)
    // Everything is there as soon as the first datagram is; nothing is asked for again.
    world.loop.run(for: .milliseconds(1))
    #expect(client.isReady && connection.earlyGuard.held.isEmpty)
    #expect(client.opened.first?.received == 2_000)
  }
}
