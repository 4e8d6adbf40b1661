import CNgtcp2
import Simulation
import Testing

@testable import QuicTransport

/// A server of ngtcp2 1.11 that was shown no transport parameters aborts when it answers, before
/// anybody has proved anything. GnuTLS goes on without an application protocol, which the table
/// `known` of interop/rules tries on the wire.
@Suite("F12: hellos that lack an extension")
struct F12Tests {
  @Test("a ClientHello without transport parameters is refused with missing_extension")
  func noParameters() throws {
    let world = try World()
    let client = try world.dial()
    let hello = Hello().bytes
    let result = ngtcp2_conn_submit_crypto_data(
      try #require(client.connection).handle, NGTCP2_ENCRYPTION_LEVEL_INITIAL, hello, hello.count)
    #expect(result == 0)
    world.wait { client.isClosed && world.accepted.first?.isClosed == true }
    // RFC 9001 §4.8: 0x100 and the alert of RFC 8446 §6.2.
    guard case .transport(0x16d, isRemote: true, _) = client.error else {
      Issue.record("the client heard \(String(describing: client.error))")
      return
    }
    // The endpoint serves the next one.
    #expect(try world.connect().client.isReady)
  }

  /// A ClientHello (RFC 8446 §4.1.2) that is honest but for what it lacks.
  private struct Hello {
    var bytes: [UInt8] {
      // The base point, whose secret anybody knows.
      let share = [9] + [UInt8](repeating: 0, count: 31)
      let extensions: [[UInt8]] = [
        [0, 43] + vector(2, [2, 3, 4]),  // supported_versions: TLS 1.3
        [0, 10] + vector(2, vector(2, [0, 29])),  // supported_groups: X25519
        [0, 13] + vector(2, vector(2, [8, 7])),  // signature_algorithms: Ed25519
        [0, 51] + vector(2, vector(2, [0, 29] + vector(2, share))),  // key_share
        [0, 19] + vector(2, [1, 2]), [0, 20] + vector(2, [1, 2]),  // raw public keys
        [0, 16] + vector(2, vector(2, vector(1, Array("qtun/1".utf8)))),
      ]
      var body: [UInt8] = [3, 3] + [UInt8](repeating: 7, count: 32) + [0]
      body += vector(2, [0x13, 0x01]) + vector(1, [0])
      body += vector(2, extensions.flatMap { $0 })
      return [1] + vector(3, body)
    }

    /// With a length of so many bytes in front.
    private func vector(_ size: Int, _ bytes: [UInt8]) -> [UInt8] {
      (0..<size).reversed().map { UInt8(truncatingIfNeeded: bytes.count >> ($0 * 8)) } + bytes
    }
  }
}
