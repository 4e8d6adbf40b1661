import Simulation
import Testing

@testable import QuicTransport

/// A server that would rather be talked to elsewhere (RFC 9000 §9.6).
@Suite("Preferred address")
struct PreferredAddressTests {
  private static let near = SocketAddress.serverHost.with(port: 4_434)
  private static let far = SocketAddress.otherHost.with(port: 4_434)
  private static let count = 2_000_000

  /// A server with a second socket at `address`, if it listens there, and a client that follows.
  private func makeWorld(
    preferring address: SocketAddress, listens: Bool = true, follows: Bool = true
  ) throws -> World {
    let world = try World {
      // Slow enough that there is always more to send.
      $0.link.bitsPerSecond = 20_000_000
      $0.server.transport.preferredAddress = PreferredAddress(of: [address])
      $0.client.transport.followsPreferredAddress = follows
    }
    if listens { world.server.add(world.network.bind(address)) }
    return world
  }

  /// Both ends send, and nothing is lost.
  private func transfer(_ world: World) throws -> (client: ConnectionCore, server: ConnectionCore) {
    let pattern = Pattern(seed: 1)
    world.onAccepted = { probe in
      probe.onOpened = { stream in
        stream.expect(pattern)
        stream.send(Self.count, of: pattern, finishing: true)
      }
    }
    let (client, server) = try world.connect()
    let stream = try client.open()
    stream.expect(pattern)
    stream.send(Self.count, of: pattern, finishing: true)
    world.wait { stream.isClosed && server.opened[0].isClosed }
    #expect(stream.received == Self.count && stream.wrongAt == nil)
    #expect(server.opened[0].received == Self.count && server.opened[0].wrongAt == nil)
    return (try #require(client.connection), try #require(server.connection))
  }

  @Test("a client moves to it, under another connection ID", arguments: [near, far])
  func follows(_ address: SocketAddress) throws {
    let world = try makeWorld(preferring: address)
    let dialled = world.serverSocket.localAddress
    var ids: [SocketAddress: Set<[UInt8]>] = [:]
    world.network.onSend = { datagram in
      // A short header (RFC 9000 §17.3.1) begins with the destination's ID.
      guard datagram.from == world.clientSocket.localAddress, datagram.bytes[0] & 0x80 == 0
      else { return }
      ids[datagram.to, default: []].insert(Array(datagram.bytes[1..<1 + ConnectionID.issuedCount]))
    }
    let (client, server) = try transfer(world)
    #expect(client.currentPath.remote == address)
    #expect(server.currentPath.local == address)
    #expect(Set(ids.keys) == [dialled, address])
    #expect(ids[dialled]?.isDisjoint(with: ids[address] ?? []) == true)
  }

  @Test("the old path carries the data until the new one has answered")
  func oldPathMeanwhile() throws {
    let world = try makeWorld(preferring: Self.far)
    var askedAt: Instant?
    var answeredAt: Instant?
    var meanwhile = 0
    world.network.configure(.otherHost, .clientHost) { $0.latency = .milliseconds(50) }
    world.network.onSend = { datagram in
      if datagram.to == Self.far, askedAt == nil { askedAt = world.loop.now }
      if datagram.from == Self.far, answeredAt == nil { answeredAt = world.loop.now }
      if datagram.to == world.serverSocket.localAddress, askedAt != nil, answeredAt == nil,
        datagram.bytes.count > 1_000
      {
        meanwhile += 1
      }
    }
    let (client, _) = try transfer(world)
    #expect(meanwhile > 20)
    #expect(client.currentPath.remote == Self.far)
  }

  @Test("a client stays where it is when nobody answers there")
  func silence() throws {
    let world = try makeWorld(preferring: Self.far, listens: false)
    let (client, server) = try transfer(world)
    world.loop.run(for: .seconds(5))
    #expect(client.currentPath.remote == world.serverSocket.localAddress)
    #expect(server.currentPath.local == world.serverSocket.localAddress)
  }

  @Test("a client that was not told to follow sends nothing there")
  func indifference() throws {
    let world = try makeWorld(preferring: Self.near, follows: false)
    var strays = 0
    world.network.onSend = { if $0.to == Self.near { strays += 1 } }
    let (client, _) = try transfer(world)
    #expect(strays == 0)
    #expect(client.currentPath.remote == world.serverSocket.localAddress)
  }

  @Test(
    "a server elsewhere cannot point to what is near the client",
    arguments: ["127.0.0.1", "169.254.1.1", "10.0.0.1", "224.0.0.1"])
  func nearby(_ text: String) throws {
    let address = try #require(SocketAddress(text, port: 53))
    let world = try makeWorld(preferring: address)
    var strays = 0
    world.network.onSend = { if $0.to == address { strays += 1 } }
    let (client, _) = try transfer(world)
    #expect(strays == 0)
    #expect(client.currentPath.remote == world.serverSocket.localAddress)
  }

  @Test("the family in use comes first, and what is no address is left out")
  func choice() throws {
    let four = SocketAddress.serverHost.with(port: 1)
    let six = SocketAddress.serverHostIPv6.with(port: 1)
    let both = try #require(PreferredAddress(of: [six, four, .otherHost.with(port: 2)]))
    #expect(both.choice(insteadOf: .clientHost) == four)
    #expect(both.choice(insteadOf: .clientHostIPv6) == six)
    #expect(PreferredAddress(of: [four])?.choice(insteadOf: .clientHostIPv6) == four)
    #expect(PreferredAddress(of: [.any.with(port: 1), .serverHost]) == nil)
    let unique = try #require(SocketAddress("fd00::1", port: 1))
    #expect(PreferredAddress(of: [unique])?.choice(insteadOf: .serverHostIPv6) == nil)
    #expect(PreferredAddress(of: [unique])?.choice(insteadOf: unique) == unique)
    let group = try #require(SocketAddress("ff02::1", port: 1))
    #expect(PreferredAddress(of: [group])?.choice(insteadOf: unique) == nil)
  }
}
