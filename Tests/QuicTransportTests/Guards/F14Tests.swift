import Simulation
import Testing

@testable import QuicTransport

/// Key updates that both sides begin while acknowledgements are lost leave ngtcp2 without the key that
/// the other one has gone on to.
@Suite("F14: key updates from both sides")
struct F14Tests {
  @Test("whatever is lost, a connection goes on after key updates", arguments: 1...60)
  func lossy(seed: UInt64) throws {
    let world = try World { $0.seed = seed }
    let (client, server) = try world.connect()
    let near = try client.open()
    _ = server.connection?.updateKeys()
    world.network.configure(.clientHost, .serverHost) { $0.lossRate = 0.44 }
    near.send(3_600, of: Pattern(seed: 3), finishing: false)
    world.clientSocket.block(for: .milliseconds(14))
    world.loop.run(for: .milliseconds(424))
    near.stream.finish()
    _ = client.connection?.updateKeys()
    world.loop.run(for: .milliseconds(189))
    world.network.configure(.clientHost, .serverHost) { $0.lossRate = 0 }
    world.wait(.seconds(20)) { server.opened.first?.sawEnd == true }
    #expect(server.opened.first?.received == 3_600)
  }

  @Test("the client begins, the server follows")
  func roles() throws {
    let world = try World()
    let (client, server) = try world.connect()
    world.loop.run(for: .seconds(1))
    #expect(server.connection?.updateKeys() == false)
    #expect(client.connection?.updateKeys() == true)
  }
}
