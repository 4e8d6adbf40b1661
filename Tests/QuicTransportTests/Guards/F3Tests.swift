import CNgtcp2
import Simulation
import Testing

@testable import QuicTransport

/// A ClientHello may announce 16 MiB, and GnuTLS would keep them all for a stranger.
@Suite("F3: endless handshake messages")
struct F3Tests {
  private static let bufferExceeded: UInt64 = 0x0d

  @Test("a ClientHello without end is refused after 16 KiB, before it costs more")
  func endlessClientHello() throws {
    let world = try World { $0.transport { $0.handshakeTimeout = .seconds(60) } }
    let client = try world.dial()
    let connection = try #require(client.connection)
    // handshake_type client_hello with a length of 2^24 - 1, then nothing of substance.
    let hello: [UInt8] = [0x01, 0xff, 0xff, 0xff] + [UInt8](repeating: 0, count: 400_000)
    let result = ngtcp2_conn_submit_crypto_data(
      connection.handle, NGTCP2_ENCRYPTION_LEVEL_INITIAL, hello, hello.count)
    #expect(result == 0)
    var sent = 0
    world.network.onSend = { datagram in
      if datagram.from == world.clientSocket.localAddress { sent += datagram.bytes.count }
    }
    world.wait(.seconds(60)) { client.isClosed && world.accepted.first?.isClosed == true }
    guard case .transport(Self.bufferExceeded, isRemote: true, _) = client.error,
      case .transport(Self.bufferExceeded, isRemote: false, _) = world.accepted.first?.error
    else {
      Issue.record("the client heard \(String(describing: client.error))")
      return
    }
    // What was in flight when the server had enough comes on top.
    #expect(sent > 16 * 1024 && sent < 64 * 1024)
    world.wait(.seconds(10)) { world.server.connectionCount == 0 }
    #expect(try world.connect().client.isReady)
  }
}
