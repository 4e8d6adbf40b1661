import Simulation
import Testing

@testable import QuicTransport

/// Debian's ngtcp2 has its assertions compiled in: misuse ends the process.
@Suite("F5: misuse that would abort")
struct F5Tests {
  @Test("a clock that runs backwards is held still")
  func backwards() throws {
    let world = try World()
    let (client, server) = try world.connect()
    let connection = try #require(client.connection)
    let past = Instant(nanoseconds: 5)
    let before = connection.now
    let stream = try client.open()
    try stream.stream.write([1, 2, 3])
    _ = connection.transmit(now: past)
    connection.handleTimeout(now: past)
    let noise = [UInt8](repeating: 0x41, count: 100)
    noise.withUnsafeBytes { bytes in
      let datagram = ReceivedDatagram(
        bytes: bytes, path: connection.currentPath, ecn: .notCapable)
      connection.receive(datagram, now: past)
      world.client.receive(datagram, now: past)
    }
    #expect(connection.advance(to: past) >= before)
    stream.stream.finish()
    world.wait { server.opened.first?.sawEnd == true }
    #expect(server.opened.first?.received == 3)
  }

  @Test("an empty DATAGRAM never reaches ngtcp2")
  func emptyDatagram() throws {
    let world = try World()
    let (client, server) = try world.connect()
    #expect(throws: DatagramError.empty) { try client.connection?.sendDatagram([]) }
    #expect(client.connection?.datagrams.count == 0)
    try client.connection?.sendDatagram([1])
    world.wait { server.datagrams == [[1]] }
  }

  @Test("operations on a connection that is over are refused or do nothing")
  func afterTheEnd() throws {
    let world = try World()
    let (client, server) = try world.connect()
    let near = try client.open()
    near.send(10, of: Pattern(seed: 1), finishing: false)
    world.wait { server.opened.count == 1 }
    let connection = try #require(client.connection)
    connection.close(code: 0, reason: "")
    connection.close(code: 1, reason: "again")
    #expect(throws: StreamError.self) { try connection.openStream(unidirectional: false) }
    #expect(throws: DatagramError.self) { try connection.sendDatagram([1]) }
    #expect(!connection.updateKeys())
    #expect(!connection.migrate(to: connection.currentPath))
    near.stream.reset(code: 1)
    near.stream.stopReceiving(code: 1)
    near.stream.finish()
    world.loop.run(for: .seconds(60))
    #expect(client.error == .application(code: 0, isRemote: false, reason: ""))
    #expect(connection.statistics.bytesSent > 0)
    #expect(connection.datagramSizeMax == 0)
  }
}
