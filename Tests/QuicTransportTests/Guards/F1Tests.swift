import CNgtcp2
import Simulation
import Testing

@testable import QuicTransport

/// A TLS KeyUpdate in a CRYPTO frame makes GnuTLS install keys again, which ngtcp2 1.11 answers with
/// an abort; RFC 9001 §6 wants unexpected_message, QUIC code 0x10a.
@Suite("F1: TLS messages after the handshake")
struct F1Tests {
  private static let keyUpdate: [UInt8] = [0x18, 0x00, 0x00, 0x01, 0x00]
  private static let unexpectedMessage: UInt64 = 0x10a

  /// Lets one side send `message` in 1-RTT CRYPTO frames.
  private func attack(_ connection: ConnectionCore, with message: [UInt8]) {
    let result = ngtcp2_conn_submit_crypto_data(
      connection.handle, NGTCP2_ENCRYPTION_LEVEL_1RTT, message, message.count)
    #expect(result == 0)
    connection.host?.needsFlush(connection)
  }

  private func expectRefusal(
    of attacker: ConnectionProbe, by victim: ConnectionProbe, in world: World
  ) throws {
    world.wait { attacker.isClosed && victim.isClosed }
    guard case .transport(Self.unexpectedMessage, isRemote: true, _) = attacker.error,
      case .transport(Self.unexpectedMessage, isRemote: false, _) = victim.error
    else {
      Issue.record("\(String(describing: attacker.error)), \(String(describing: victim.error))")
      return
    }
    // The endpoint serves the next one.
    #expect(try world.connect().client.isReady)
  }

  @Test("a client's KeyUpdate closes the connection with unexpected_message")
  func clientSends() throws {
    let world = try World()
    let (client, server) = try world.connect()
    world.loop.run(for: .seconds(1))
    attack(try #require(client.connection), with: Self.keyUpdate)
    try expectRefusal(of: client, by: server, in: world)
  }

  @Test("a server's KeyUpdate closes the connection with unexpected_message")
  func serverSends() throws {
    let world = try World()
    let (client, server) = try world.connect()
    world.loop.run(for: .seconds(1))
    attack(try #require(server.connection), with: Self.keyUpdate)
    try expectRefusal(of: server, by: client, in: world)
  }

  @Test("a KeyUpdate behind a harmless ticket is found as well")
  func behindTicket() throws {
    let world = try World()
    let (client, server) = try world.connect()
    world.loop.run(for: .seconds(1))
    let ticket: [UInt8] = [
      0x04, 0x00, 0x00, 0x0f, 0, 0, 0, 60, 1, 2, 3, 4, 1, 9, 0, 1, 7, 0, 0,
    ]
    attack(try #require(server.connection), with: ticket + Self.keyUpdate)
    try expectRefusal(of: server, by: client, in: world)
  }
}
