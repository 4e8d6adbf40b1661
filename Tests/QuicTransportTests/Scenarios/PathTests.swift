import Simulation
import Testing

@testable import QuicTransport

@Suite("Paths")
struct PathTests {
  @Test("a client that moves to another address goes on with the same streams")
  func migration() throws {
    let world = try World()
    let pattern = Pattern(seed: 1)
    world.onAccepted = { probe in
      probe.onOpened = { stream in
        stream.expect(pattern)
        stream.send(3_000_000, of: pattern, finishing: true)
      }
    }
    let (client, server) = try world.connect()
    let near = try client.open()
    near.expect(pattern)
    near.send(3_000_000, of: pattern, finishing: true)
    world.wait { near.received > 500_000 }
    let elsewhere = world.network.bind(.otherHost)
    world.client.add(elsewhere)
    world.network.configure(.serverHost, .clientHost) { $0.isBlackhole = true }
    let path = NetworkPath(
      local: elsewhere.localAddress, remote: world.serverSocket.localAddress)
    let connection = try #require(client.connection)
    #expect(connection.migrate(to: path))
    world.wait(.seconds(20)) { near.isClosed && server.opened[0].isClosed }
    #expect(near.received == 3_000_000 && near.wrongAt == nil)
    #expect(server.opened[0].received == 3_000_000 && server.opened[0].wrongAt == nil)
    #expect(connection.currentPath == path)
    #expect(server.connection?.currentPath.remote == elsewhere.localAddress)
  }

  @Test("a server cannot migrate")
  func serverCannotMigrate() throws {
    let world = try World()
    let (_, server) = try world.connect()
    let path = NetworkPath(
      local: SocketAddress.otherHost.with(port: 1), remote: world.clientSocket.localAddress)
    #expect(server.connection?.migrate(to: path) == false)
  }

  @Test("a server follows a client whose translator gave it another port")
  func rebinding() throws {
    let world = try World()
    let pattern = Pattern(seed: 1)
    world.onAccepted = { probe in
      probe.onOpened = { stream in
        stream.expect(pattern)
        stream.send(3_000_000, of: pattern, finishing: true)
      }
    }
    let (client, server) = try world.connect()
    let near = try client.open()
    near.expect(pattern)
    near.send(3_000_000, of: pattern, finishing: true)
    for port in UInt16(1_000)..<1_004 {
      let before = near.received
      world.wait { near.received > before + 300_000 }
      world.clientSocket.rebind(to: SocketAddress.clientHost.with(port: port))
    }
    world.wait(.seconds(20)) { near.isClosed && server.opened[0].isClosed }
    #expect(near.received == 3_000_000 && near.wrongAt == nil)
    #expect(server.opened[0].received == 3_000_000 && server.opened[0].wrongAt == nil)
    #expect(
      server.connection?.currentPath.remote == SocketAddress.clientHost.with(port: 1_003))
  }

  @Test(
    "path MTU discovery finds the largest step that the link passes",
    arguments: [
      (65_535, 61_440), (40_000, 32_768), (9_000, 8_952), (1_500, 1_472), (1_492, 1_452),
      (1_420, 1_392),
      (1_228, 1_200),
    ])
  func pathMTU(_ link: Int, _ expected: Int) throws {
    let world = try World { $0.link.mtu = link }
    let (client, server) = try world.connect()
    let pattern = Pattern(seed: 1)
    // Both have a lot to send: a window that stays small has no room for large probes.
    server.onOpened = { stream in
      stream.expect(pattern)
      stream.send(200_000, of: pattern, finishing: true)
    }
    try client.open().send(200_000, of: pattern, finishing: true)
    world.loop.run(for: .seconds(25))
    #expect(client.connection?.statistics.pathMTU == expected)
    #expect(server.connection?.statistics.pathMTU == expected)
    #expect(server.opened.first?.sawEnd == true && server.opened.first?.wrongAt == nil)
  }

  @Test("IPv6 headers leave 1452 bytes of an Ethernet frame")
  func pathMTUOverIPv6() throws {
    let world = try World {
      $0.serverHost = .serverHostIPv6
      $0.clientHost = .clientHostIPv6
    }
    let (client, _) = try world.connect()
    world.loop.run(for: .seconds(25))
    #expect(client.connection?.statistics.pathMTU == 1_452)
  }

  @Test("key updates in the middle of a transfer go unnoticed")
  func keyUpdate() throws {
    let world = try World { $0.link.bitsPerSecond = 20_000_000 }
    let pattern = Pattern(seed: 1)
    world.onAccepted = { probe in
      probe.onOpened = { stream in
        stream.expect(pattern)
        stream.send(2_000_000, of: pattern, finishing: true)
      }
    }
    let (client, server) = try world.connect()
    let near = try client.open()
    near.expect(pattern)
    near.send(2_000_000, of: pattern, finishing: true)
    var updates = 0
    while !near.isClosed, world.loop.elapsed < .seconds(60) {
      world.loop.run(for: .milliseconds(40))
      if client.connection?.updateKeys() == true { updates += 1 }
    }
    #expect(updates >= 2)
    #expect(near.received == 2_000_000 && near.wrongAt == nil)
    #expect(server.opened[0].received == 2_000_000 && server.opened[0].wrongAt == nil)
  }

  @Test("a second key update has to wait for the first")
  func keyUpdateTwice() throws {
    let world = try World()
    let (client, _) = try world.connect()
    world.loop.run(for: .seconds(1))
    #expect(client.connection?.updateKeys() == true)
    #expect(client.connection?.updateKeys() == false)
  }
}
