import QuicTransport
import Simulation
import Testing

@testable import Tunnel

/// UDP through a SOCKS5 proxy, from a program over two sessions' ends to a server and back.
@Suite("SOCKS association")
struct SocksAssociationTests {
  private static let server = SocketAddress(ipv4: 0x0808_0808, port: 53)
  private static let target = DatagramTargetTests.encode(server)

  /// An open tunnel with a proxy, and a server that echoes.
  private struct Scene {
    let world: TunnelWorld
    let server: DatagramProgram
    let door: ProxyDoor
    let associations: SocksAssociations

    init(_ configure: (inout TunnelWorld.Options) -> Void = { _ in }) throws {
      let rules = try TargetRules("*:53")
      world = try TunnelWorld {
        $0.services = [
          Service(name: "web", target: .tcp([SimTargets.web])),
          Service(name: "out", target: .dynamic(rules)),
        ]
        configure(&$0)
      }
      server = DatagramProgram(network: world.network, at: SocksAssociationTests.server)
      server.echoes = true
      world.network.configure(.loopbackIPv4, SocksAssociationTests.server) { $0.mtu = 70_000 }
      try world.open()
      (door, associations) = world.openProxy()
    }

    /// A program with its association.
    func program(port: UInt16 = 0) throws -> SocksProgram {
      let program = world.socksProgram(door)
      program.associate(port: port)
      world.wait { program.relay != nil }
      _ = try #require(program.relay)
      return program
    }

    /// Runs for as long as any answer would take.
    func settle() { world.loop.run(for: .seconds(1)) }
  }

  @Test("a program's datagrams reach the target, and answers tell where they come from")
  func echo() throws {
    let scene = try Scene()
    let program = try scene.program()
    #expect(program.relay?.with(port: 0) == .loopbackIPv4)
    for size in [0, 1, 1_200, 5_000, 60_000] {
      let bytes = Payload.bytes(size, seed: UInt64(size))
      program.send(bytes, to: Self.target)
      scene.world.wait(.seconds(5)) { !program.datagrams.received.isEmpty }
      #expect(Payload.difference(scene.server.received.last, bytes) == nil)
      #expect(program.datagrams.received == [[0, 0, 0] + Self.target + bytes])
      #expect(program.datagrams.senders == [program.relay])
      program.datagrams.forget()
    }
    #expect(scene.world.link.statistics.datagramFlows == 1)
  }

  @Test("answers of a name come with the address that it was found at")
  func name() throws {
    let scene = try Scene()
    scene.world.names.addresses["dns.example"] = [Self.server.with(port: 0)]
    let program = try scene.program()
    program.send([1], to: SocksProgram.name("dns.example", 53))
    scene.world.wait { !program.datagrams.received.isEmpty }
    #expect(program.datagrams.received == [[0, 0, 0] + Self.target + [1]])
  }

  @Test("other addresses and other ports of the program's address are not listened to")
  func strangers() throws {
    let scene = try Scene()
    let program = try scene.program()
    let relay = try #require(program.relay)
    let datagram = [0, 0, 0] + Self.target + [9]
    let stranger = DatagramProgram(network: scene.world.network, at: .otherHost)
    stranger.send(datagram, to: relay)
    scene.settle()
    #expect(scene.server.received.isEmpty, "another address was listened to")
    program.send([1], to: Self.target)
    scene.settle()
    // Now the port is fixed.
    let neighbour = DatagramProgram(network: scene.world.network)
    neighbour.send(datagram, to: relay)
    scene.settle()
    #expect(scene.server.received == [[1]])
    #expect(neighbour.received.isEmpty && stranger.received.isEmpty)
  }

  @Test("a program that says its port is listened to at no other")
  func announced() throws {
    let scene = try Scene()
    let wrong = try scene.program(port: 7)
    wrong.send([1], to: Self.target)
    scene.settle()
    #expect(scene.server.received.isEmpty)
    let program = scene.world.socksProgram(scene.door)
    program.associate(port: program.datagrams.socket.localAddress.port)
    scene.world.wait { program.relay != nil }
    program.send([2], to: Self.target)
    scene.world.wait { !program.datagrams.received.isEmpty }
    #expect(scene.server.received == [[2]])
  }

  @Test("fragments and what has no target are dropped, and do not fix the port")
  func malformed() throws {
    let scene = try Scene()
    let program = try scene.program()
    let relay = try #require(program.relay)
    let neighbour = DatagramProgram(network: scene.world.network)
    for bytes: [UInt8] in [
      [], [0], [0, 0, 0], [0, 0, 1] + Self.target + [1], [0, 0, 0x80] + Self.target + [1],
      [0, 0, 0, 1, 8, 8, 8, 8, 0, 0, 1], [0, 0, 0, 9, 1, 1], [0, 0, 0, 3, 0, 0, 53],
    ] {
      neighbour.send(bytes, to: relay)
      program.datagrams.send(bytes, to: relay)
    }
    scene.settle()
    #expect(scene.server.received.isEmpty)
    #expect(scene.world.link.statistics.datagramFlows == 0)
    program.send([1], to: Self.target)
    scene.world.wait { !program.datagrams.received.isEmpty }
  }

  @Test("the relay is there exactly as long as the program's connection", arguments: [true, false])
  func lifetime(isReset: Bool) throws {
    let scene = try Scene()
    let program = try scene.program()
    let relay = try #require(program.relay)
    program.send([1], to: Self.target)
    scene.world.wait { !program.datagrams.received.isEmpty }
    // Idle flows end, the association does not.
    scene.world.loop.run(for: .seconds(600))
    #expect(scene.associations.count == 1 && !program.control.isOver)
    #expect(scene.world.link.statistics.datagramFlowsOpen == 0)
    program.send([2], to: Self.target)
    scene.world.wait { program.datagrams.received.count == 2 }
    if isReset { program.control.reset() } else { program.control.finish() }
    scene.settle()
    #expect(scene.associations.count == 0)
    #expect(scene.world.link.statistics.datagramFlowsOpen == 0)
    // The address is free again.
    let successor = scene.world.network.bind(relay)
    successor.close()
  }

  @Test("it outlives a session, and goes on with the next")
  func reconnect() throws {
    let scene = try Scene { $0.retry = .afterLoss }
    let program = try scene.program()
    program.send([1], to: Self.target)
    scene.world.wait { !program.datagrams.received.isEmpty }
    try scene.world.restartShare()
    let opened = scene.world.linkJournal.opened
    scene.world.wait(.seconds(120)) { scene.world.linkJournal.opened > opened }
    program.send([2], to: Self.target)
    scene.world.wait { program.datagrams.received.count == 2 }
    #expect(scene.associations.count == 1)
  }

  @Test("more associations than there may be push out the one that was not used for longest")
  func bounded() throws {
    let scene = try Scene()
    let first = try scene.program()
    let second = try scene.program()
    scene.world.loop.run(for: .seconds(1))
    first.send([1], to: Self.target)
    scene.world.wait { !first.datagrams.received.isEmpty }
    for _ in 2..<SocksAssociations.countMax { _ = try scene.program() }
    #expect(scene.associations.count == SocksAssociations.countMax)
    #expect(!second.control.isOver)
    _ = try scene.program()
    scene.world.wait { second.control.isOver }
    #expect(!first.control.isOver && scene.associations.count == SocksAssociations.countMax)
    scene.door.close()
    scene.world.wait { first.control.isOver }
    #expect(scene.associations.count == 0)
  }

  @Test("a program that talks on where nothing is to be said is let go")
  func talker() throws {
    let scene = try Scene()
    let program = try scene.program()
    program.control.send([UInt8](repeating: 1, count: 60_000))
    scene.settle()
    #expect(scene.associations.count == 1)
    program.control.send([UInt8](repeating: 1, count: 60_000))
    scene.world.wait { program.control.isOver }
    #expect(scene.associations.count == 0)
  }

  @Test("a sharing side that knows no such flows has the proxy say so")
  func olderShare() throws {
    let address = SocketAddress.otherHost.with(port: 4_433)
    let world = try TunnelWorld { $0.addresses = [address] }
    let peer = try RawPeer(
      loop: world.loop, socket: world.network.bind(address),
      identity: TunnelWorld.shareIdentity, acceptsConnections: true)
    peer.onOpened = { control in
      let service = ControlMessage.Service(name: "out", port: 1_080, kind: .dynamic)
      let welcome = ControlMessage.Welcome(version: 1, capabilities: 1, services: [service])
      try? control.stream.write(ControlMessage.welcome(welcome).encoded)
    }
    world.link.start()
    world.wait { world.openedCount == 1 }
    let proxy = world.openProxy()
    let program = world.socksProgram(proxy.door)
    program.associate()
    world.wait { program.control.sawEnd }
    #expect(program.reply == 0x07 && proxy.associations.count == 0)
  }
}
