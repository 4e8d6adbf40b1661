import QuicTransport
import Simulation
import Testing

/// Each behaviour as RFC 4787 names it, measured from outside.
@Suite("SimNAT")
struct SimNATTests {
  /// Two hosts behind a translator, and a server with two addresses and two ports.
  private final class World {
    let loop = SimLoop()
    let network: SimNetwork
    let nat: SimNAT
    let inside: SimSocket
    let neighbour: SimSocket
    let servers: [SimSocket]
    let records: [SocketAddress: Record]

    final class Record: DatagramReceiver {
      var sources: [SocketAddress] = []
      func receive(_ datagram: ReceivedDatagram, now: Instant) {
        sources.append(datagram.path.remote)
      }
      func datagramSocketWritable(_ socket: any DatagramSocket) {}
    }

    init(_ settings: SimNAT.Settings, seed: UInt64 = 1) {
      network = SimNetwork(loop: loop, seed: seed, defaults: LinkSettings())
      nat = network.addTranslator(at: .clientHost, settings)
      let hosts = [
        SocketAddress(ipv4: 0x0a00_0005, port: 7_000), .init(ipv4: 0x0a00_0006, port: 8),
      ]
      for host in hosts { nat.attach(host) }
      inside = network.bind(hosts[0])
      neighbour = network.bind(hosts[1])
      servers = [
        network.bind(.serverHost.with(port: 1)), network.bind(.serverHost.with(port: 2)),
        network.bind(.otherHost.with(port: 1)),
      ]
      var records: [SocketAddress: Record] = [:]
      for socket in servers + [inside, neighbour] {
        let record = Record()
        records[socket.localAddress] = record
        socket.receiver = record
      }
      self.records = records
    }

    /// What a socket has received from, and forgets it.
    func take(_ socket: SimSocket) -> [SocketAddress] {
      loop.run(for: .milliseconds(50))
      defer { records[socket.localAddress]?.sources = [] }
      return records[socket.localAddress]?.sources ?? []
    }

    func outsidePorts() throws -> [UInt16] {
      try servers.map { server in
        inside.send([1], to: server.localAddress)
        return try #require(take(server).first).port
      }
    }
  }

  @Test("mapping is endpoint-independent, address-dependent or address- and port-dependent")
  func mapping() throws {
    for seed in Seeds.all {
      let easy = try World(.portRestricted, seed: seed).outsidePorts()
      #expect(Set(easy).count == 1)
      let middle = try World(.addressDependent, seed: seed).outsidePorts()
      #expect(middle[0] == middle[1] && middle[0] != middle[2])
      let hard = try World(.symmetricRandom, seed: seed).outsidePorts()
      #expect(Set(hard).count == 3)
    }
  }

  @Test("ports are preserved, random or in a row")
  func allocation() throws {
    #expect(try World(.linuxHome).outsidePorts() == [7_000, 7_000, 7_000])
    let row = try World(.symmetricRegular).outsidePorts()
    #expect(row[1] == row[0] + 1 && row[2] == row[0] + 2)
    #expect(try World(.symmetricRandom).outsidePorts().allSatisfy { $0 != 7_000 })
    #expect(
      try World(.symmetricRandom, seed: 2).outsidePorts() != World(.symmetricRandom).outsidePorts())
  }

  @Test("two hosts with one port get two outside ports")
  func collision() throws {
    let world = World(.linuxHome)
    let same = world.network.bind(SocketAddress(ipv4: 0x0a00_0006, port: 7_000))
    let first = try world.outsidePorts()[0]
    same.send([1], to: world.servers[0].localAddress)
    #expect(try #require(world.take(world.servers[0]).first).port != first)
  }

  @Test(
    "filtering lets in everybody, hosts that were sent to, or ports that were sent to",
    arguments: [
      (SimNAT.Settings.fullCone, [true, true, true]), (.addressRestricted, [true, true, false]),
      (.portRestricted, [true, false, false]),
    ])
  func filtering(settings: SimNAT.Settings, expected: [Bool]) throws {
    let world = World(settings)
    world.inside.send([1], to: world.servers[0].localAddress)
    let outside = try #require(world.take(world.servers[0]).first)
    for (server, isIn) in zip(world.servers, expected) {
      server.send([2], to: outside)
      #expect(world.take(world.inside) == (isIn ? [server.localAddress] : []))
    }
    world.servers[0].send([2], to: outside.with(port: outside.port ^ 1))
    #expect(world.take(world.inside).isEmpty, "another port is nobody's")
  }

  @Test("a mapping lives while it is used, and not much longer")
  func timeout() throws {
    let world = World(.portRestricted)
    let server = world.servers[0]
    world.inside.send([1], to: server.localAddress)
    let outside = try #require(world.take(server).first)
    for _ in 0..<4 {
      world.loop.run(for: .seconds(25))
      server.send([2], to: outside)
      #expect(world.take(world.inside).count == 1)
    }
    world.nat.settings.inboundRefreshes = false
    world.loop.run(for: .seconds(25))
    server.send([2], to: outside)
    world.loop.run(for: .seconds(6))
    #expect(world.nat.mappingCount == 0)
    server.send([2], to: outside)
    #expect(world.take(world.inside).count == 1, "the one before")
    world.inside.send([1], to: server.localAddress)
    #expect(world.take(server).first != outside)
  }

  @Test("hairpinning works where it is on; neighbours reach each other directly in any case")
  func hairpin() throws {
    for hairpins in [false, true] {
      var settings = SimNAT.Settings.fullCone
      settings.hairpins = hairpins
      let world = World(settings)
      let outside = world.nat.address.with(port: try world.outsidePorts()[0])
      world.neighbour.send([1], to: outside)
      let sources = world.take(world.inside)
      #expect(sources.count == (hairpins ? 1 : 0))
      #expect(sources.allSatisfy { $0.with(port: 0) == world.nat.address })
      world.neighbour.send([1], to: world.inside.localAddress)
      #expect(world.take(world.inside) == [world.neighbour.localAddress])
    }
  }

  @Test("an unsolicited packet takes the tuple that a later flow would have had")
  func unsolicited() throws {
    for confirms in [false, true] {
      let world = World(confirms ? .linuxOpen : .linuxHome)
      let (known, stranger) = (world.servers[0], world.servers[2])
      world.inside.send([1], to: known.localAddress)
      let outside = try #require(world.take(known).first)
      stranger.send([2], to: outside)
      #expect(world.take(world.inside).isEmpty)
      world.inside.send([1], to: stranger.localAddress)
      let source = try #require(world.take(stranger).first)
      #expect((source == outside) == !confirms)
      // Towards others nothing has changed, and the new port works both ways.
      world.inside.send([1], to: known.localAddress)
      #expect(world.take(known) == [outside])
      stranger.send([2], to: source)
      #expect(world.take(world.inside) == [stranger.localAddress])
      // It is forgotten like any flow.
      world.loop.run(for: .seconds(31))
      world.inside.send([1], to: stranger.localAddress)
      #expect(world.take(stranger).first == outside)
    }
  }

  @Test("a packet that went out first keeps its port, even if it died on the way")
  func primer() throws {
    let world = World(.linuxOpen)
    let stranger = world.servers[2]
    world.inside.send([1], to: stranger.localAddress, hopLimit: 3)
    #expect(world.take(stranger).isEmpty)
    stranger.send([2], to: world.nat.address.with(port: 7_000))
    #expect(world.take(world.inside) == [stranger.localAddress])
    world.inside.send([1], to: stranger.localAddress)
    #expect(world.take(stranger) == [world.nat.address.with(port: 7_000)])
  }

  @Test("hops are counted: the translator, and the routers between")
  func hops() {
    let world = World(.fullCone)
    let server = world.servers[0]
    for (limit, arrives) in [(1, false), (2, false), (9, false), (10, true)] {
      world.inside.send([1], to: server.localAddress, hopLimit: limit)
      #expect(world.take(server).count == (arrives ? 1 : 0), "\(limit)")
      #expect(world.nat.mappingCount == (limit == 1 ? 0 : 1))
    }
  }

  @Test("translators in series: both translate, both filter")
  func series() throws {
    let world = World(.portRestricted)
    let home = world.network.addTranslator(
      at: SocketAddress(ipv4: 0x6440_0001, port: 0), .fullCone)
    world.nat.attach(home.address)
    let host = SocketAddress(ipv4: 0xc0a8_0105, port: 9)
    home.attach(host)
    let socket = world.network.bind(host)
    let record = World.Record()
    socket.receiver = record
    socket.send([1], to: world.servers[0].localAddress)
    let outside = try #require(world.take(world.servers[0]).first)
    #expect(outside.with(port: 0) == world.nat.address)
    world.servers[0].send([2], to: outside)
    world.servers[1].send([2], to: outside)
    world.loop.run(for: .milliseconds(50))
    #expect(record.sources == [world.servers[0].localAddress])
  }

  @Test("a flushed translator starts again; a blocked one passes nothing")
  func flushAndBlock() throws {
    let world = World(.portRestricted)
    let before = try world.outsidePorts()[0]
    world.nat.flush()
    world.servers[0].send([2], to: world.nat.address.with(port: before))
    #expect(world.take(world.inside).isEmpty)
    #expect(try world.outsidePorts()[0] != before)
    world.nat.settings.blocksUDP = true
    world.inside.send([1], to: world.servers[0].localAddress)
    #expect(world.take(world.servers[0]).isEmpty)
  }

  @Test("inside addresses mean nothing outside")
  func insideAddresses() {
    let world = World(.fullCone)
    world.servers[0].send([1], to: world.inside.localAddress)
    #expect(world.take(world.inside).isEmpty)
  }
}
