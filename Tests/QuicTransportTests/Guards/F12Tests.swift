import CNgtcp2
import Simulation
import Testing

@testable import QuicTransport

/// A server of ngtcp2 1.11 that was shown no transport parameters aborts when it answers, before
/// anybody has proved anything; GnuTLS goes on without an application protocol.
@Suite("F12: hellos that lack an extension")
struct F12Tests {
  // RFC 9001 §4.8: 0x100 and the alert of RFC 8446 §6.2.
  private static let missingExtension: UInt64 = 0x16d
  private static let noApplicationProtocol: UInt64 = 0x178

  /// Lets a client say `hello` in front of its own, and expects the server to close with `code`.
  private func expectClose(_ code: UInt64, after hello: Hello) throws {
    let world = try World()
    let client = try world.dial()
    let bytes = hello.bytes
    let result = ngtcp2_conn_submit_crypto_data(
      try #require(client.connection).handle, NGTCP2_ENCRYPTION_LEVEL_INITIAL, bytes, bytes.count)
    #expect(result == 0)
    world.wait { client.isClosed && world.accepted.first?.isClosed == true }
    let error = client.error
    switch error {
    case .transport(code, isRemote: true, _): break
    case .protocolMismatch where code == Self.noApplicationProtocol: break
    default: Issue.record("the client heard \(String(describing: error))")
    }
    // The endpoint serves the next one.
    #expect(try world.connect().client.isReady)
  }

  @Test("a ClientHello without transport parameters is refused with missing_extension")
  func noParameters() throws {
    try expectClose(Self.missingExtension, after: Hello(hasParameters: false))
  }

  @Test("a ClientHello without application protocols is refused with no_application_protocol")
  func noProtocol() throws {
    try expectClose(Self.noApplicationProtocol, after: Hello(hasProtocol: false))
  }

  /// A ClientHello (RFC 8446 §4.1.2) that is honest but for what it lacks.
  private struct Hello {
    var hasParameters = true
    var hasProtocol = true

    var bytes: [UInt8] {
      // The base point, whose secret anybody knows.
      let share = [9] + [UInt8](repeating: 0, count: 31)
      var extensions: [[UInt8]] = [
        [0, 43] + vector(2, [2, 3, 4]),  // supported_versions: TLS 1.3
        [0, 10] + vector(2, vector(2, [0, 29])),  // supported_groups: X25519
        [0, 13] + vector(2, vector(2, [8, 7])),  // signature_algorithms: Ed25519
        [0, 51] + vector(2, vector(2, [0, 29] + vector(2, share))),  // key_share
        [0, 19] + vector(2, [1, 2]), [0, 20] + vector(2, [1, 2]),  // raw public keys
      ]
      if hasProtocol {
        extensions.append([0, 16] + vector(2, vector(2, vector(1, Array("qtun/1".utf8)))))
      }
      // initial_max_data, and no connection ID: what is missing in it comes to light later.
      if hasParameters { extensions.append([0, 57] + vector(2, [0x04, 0x01, 0x3f, 0x0f, 0x00])) }
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
