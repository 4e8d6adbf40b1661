import QuicTransport
import Simulation
import Testing

@testable import Tunnel

/// What the sharing side does with datagrams that name their targets.
@Suite("Datagrams with targets")
struct NamedDatagramsTests {
  private static let good = SocketAddress(ipv4: 0x0808_0808, port: 53)
  private static let other = SocketAddress(ipv4: 0x0808_0404, port: 53)

  /// A dialer's end of a flow: writes down what comes.
  private final class End: DatagramEnd {
    weak var flow: DatagramFlow?
    var received: [[UInt8]] = []

    func send(_ payload: UnsafeRawBufferPointer) -> Bool {
      received.append(Array(payload))
      return true
    }

    func close() {}
  }

  /// An open tunnel, a server at each address, and a flow.
  private struct Scene {
    let world: TunnelWorld
    let servers: [DatagramProgram]
    let end = End()

    init(
      _ rules: String = "*:53", servers: [SocketAddress] = [good, other],
      configure: (TunnelWorld) -> Void = { _ in }
    ) throws {
      let rules = try TargetRules(rules)
      world = try TunnelWorld { $0.services = [Service(name: "out", target: .dynamic(rules))] }
      let network = world.network
      self.servers = servers.map { DatagramProgram(network: network, at: $0) }
      for server in self.servers { server.echoes = true }
      configure(world)
      try world.open()
      _ = world.link.openDatagramFlow(to: "out", end: end)
    }

    func send(_ bytes: [UInt8], to target: [UInt8]) {
      (target + bytes).withUnsafeBytes { end.flow?.send($0) }
    }

    func send(_ bytes: [UInt8], to address: SocketAddress) {
      send(bytes, to: DatagramTargetTests.encode(address))
    }

    func settle() { world.loop.run(for: .seconds(1)) }

    /// What the servers heard.
    var heard: [[[UInt8]]] { servers.map(\.received) }
    /// What the share dropped.
    var dropped: UInt64 { world.share.statistics.datagrams.dropped }
  }

  @Test("one flow reaches several targets from one port, and tells their answers apart")
  func several() throws {
    let scene = try Scene()
    scene.send([1], to: Self.good)
    scene.send([2], to: Self.other)
    scene.settle()
    #expect(scene.heard == [[[1]], [[2]]])
    #expect(Set(scene.servers.flatMap(\.senders)).count == 1)
    let answers = [
      DatagramTargetTests.encode(Self.good) + [1], DatagramTargetTests.encode(Self.other) + [2],
    ]
    #expect(Set(scene.end.received) == Set(answers))
    #expect(scene.world.datagramTargets.openCount == 1)
  }

  @Test("a name is looked up once in a flow, and what came meanwhile follows in order")
  func names() throws {
    let scene = try Scene { world in
      world.names.addresses["a.example"] = [Self.good.with(port: 0), Self.other.with(port: 0)]
    }
    for number: UInt8 in 0..<5 { scene.send([number], to: SocksProgram.name("A.example", 53)) }
    scene.settle()
    for number: UInt8 in 5..<9 { scene.send([number], to: SocksProgram.name("A.example", 53)) }
    scene.settle()
    #expect(scene.heard == [(0..<9).map { [$0] }, []])
    #expect(scene.world.names.lookups == ["a.example"])
    #expect(scene.end.received.count == 9)
  }

  @Test(
    "loopback, link-local and metadata are denied in every spelling, by name too",
    arguments: [
      DatagramTargetTests.encode(SocketAddress.loopbackIPv4.with(port: 53)),
      DatagramTargetTests.encode(SocketAddress(ipv4: 0xa9fe_a9fe, port: 53)),
      DatagramTargetTests.encode(SocketAddress(ipv4: 0, port: 53)),
      DatagramTargetTests.encode(SocketAddress(ipv4: 0x0a00_0001, port: 53)),
      DatagramTargetTests.encode(SocketAddress(ipv4: 0xffff_ffff, port: 53)),
      DatagramTargetTests.encode(SocketAddress(ipv4: 0xe000_00fb, port: 53)),
      DatagramTargetTests.encode(SocketAddress(high: 0, low: 1, port: 53)),
      DatagramTargetTests.encode(SocketAddress(high: 0xfe80 << 48, low: 1, port: 53)),
      [4] + [UInt8](repeating: 0, count: 10) + [0xff, 0xff, 127, 0, 0, 1, 0, 53],
      [4, 0, 0x64, 0xff, 0x9b] + [UInt8](repeating: 0, count: 8) + [127, 0, 0, 1, 0, 53],
      SocksProgram.name("127.0.0.1", 53), SocksProgram.name("127.1", 53),
      SocksProgram.name("0x7f000001", 53), SocksProgram.name("2130706433", 53),
      SocksProgram.name("::1", 53), SocksProgram.name("::ffff:127.0.0.1", 53),
      SocksProgram.name("localhost", 53), SocksProgram.name("inner.example", 53),
      SocksProgram.name("169.254.169.254", 53), SocksProgram.name("meta.example", 53),
      // A port that no rule opens.
      [1, 8, 8, 8, 8, 0, 54],
    ] as [[UInt8]])
  func denied(target: [UInt8]) throws {
    let scene = try Scene { world in
      world.names.addresses["localhost"] = [.loopbackIPv4]
      world.names.addresses["inner.example"] = [SocketAddress(ipv4: 0x0a00_0001, port: 0)]
      world.names.addresses["meta.example"] = [SocketAddress(ipv4: 0xa9fe_a9fe, port: 0)]
    }
    var sent: [SocketAddress] = []
    scene.world.network.onSend = { datagram in
      if datagram.bytes == [0xee] { sent.append(datagram.to) }
    }
    scene.send([0xee], to: target)
    scene.settle()
    scene.send([0xee], to: target)
    scene.settle()
    #expect(sent.isEmpty)
    // And the flow goes on.
    scene.send([1], to: Self.good)
    scene.settle()
    #expect(scene.heard[0] == [[1]])
  }

  @Test("an address that does not answer to us is not passed on")
  func unasked() throws {
    let scene = try Scene(servers: [Self.good])
    scene.send([1], to: Self.good)
    scene.settle()
    let socket = try #require(scene.world.datagramTargets.sockets.last)
    scene.world.network.inject([9], from: Self.other, to: socket.localAddress)
    scene.world.network.inject([9], from: Self.good.with(port: 54), to: socket.localAddress)
    scene.settle()
    #expect(scene.end.received == [DatagramTargetTests.encode(Self.good) + [1]])
    scene.world.network.inject([8], from: Self.good, to: socket.localAddress)
    scene.settle()
    #expect(scene.end.received.last == DatagramTargetTests.encode(Self.good) + [8])
  }

  @Test("a name that was not found is asked for again later, not for each datagram")
  func notFound() throws {
    let scene = try Scene()
    for _ in 0..<20 {
      scene.send([1], to: SocksProgram.name("late.example", 53))
      scene.world.loop.run(for: .milliseconds(100))
    }
    #expect(scene.world.names.lookups == ["late.example"])
    #expect(scene.dropped >= 18)
    scene.world.names.addresses["late.example"] = [Self.good.with(port: 0)]
    scene.world.loop.run(for: .seconds(10))
    scene.send([2], to: SocksProgram.name("late.example", 53))
    scene.settle()
    #expect(scene.heard[0] == [[2]] && scene.world.names.lookups.count == 2)
  }

  @Test("targets of a flow are bounded: the least recent gives way, and its answers with it")
  func targetsBounded() throws {
    let scene = try Scene("*:*")
    scene.send([1], to: Self.good)
    scene.settle()
    for number in 0..<NamedDatagrams.targetsMax {
      if number % 100 == 0 { scene.world.loop.run(for: .milliseconds(100)) }
      scene.send([0], to: SocketAddress(ipv4: 0x0909_0000 + UInt32(number), port: 9))
    }
    scene.settle()
    let socket = try #require(scene.world.datagramTargets.sockets.last)
    let count = scene.end.received.count
    scene.world.network.inject([9], from: Self.good, to: socket.localAddress)
    scene.settle()
    #expect(scene.end.received.count == count, "an answer of a target that was forgotten")
    scene.send([2], to: Self.good)
    scene.settle()
    #expect(scene.heard[0] == [[1], [2]])
  }

  @Test("a peer that names new targets without end is slowed down, and known ones go on")
  func rate() throws {
    let scene = try Scene("*:*")
    scene.send([1], to: Self.good)
    scene.settle()
    var reached = 0
    scene.world.network.onSend = { if $0.bytes == [0xee] { reached += 1 } }
    for number: UInt32 in 0..<4_000 {
      scene.send([0xee], to: SocketAddress(ipv4: 0x0909_0000 + number, port: 9))
      if number % 100 == 0 { scene.send([2], to: Self.good) }
      if number % 10 == 0 { scene.world.loop.run(for: .milliseconds(1)) }
    }
    scene.settle()
    #expect(reached >= 1_000 && reached < 1_500, "\(reached) targets within half a second")
    #expect(scene.heard[0].count == 41)
  }

  @Test("names that are never found hold few datagrams, and other targets go on")
  func silentResolver() throws {
    let scene = try Scene { $0.names.latency = nil }
    for number in 0..<200 {
      let bytes = [UInt8](repeating: 1, count: 1_000)
      scene.send(bytes, to: SocksProgram.name("n\(number).example", 53))
      scene.world.loop.run(for: .milliseconds(1))
    }
    scene.settle()
    #expect(scene.world.names.lookups.count == 32)
    scene.send([1], to: Self.good)
    scene.settle()
    #expect(scene.heard[0] == [[1]])
  }

  @Test("a service of another kind, or none, is not reached by such a number, nor the other way")
  func kinds() throws {
    let rules = try TargetRules("*:53")
    let world = try TunnelWorld {
      $0.services = [
        Service(name: "dns", target: .udp([SimDatagramTargets.dns])),
        Service(name: "out", target: .dynamic(rules)),
        Service(name: "web", target: .tcp([SimTargets.web])),
      ]
    }
    let server = DatagramProgram(network: world.network, at: SimDatagramTargets.dns)
    try world.open()
    let datagrams = try #require(world.link.openSession?.datagrams)
    for service: UInt64 in [1, 2, 3, 63, 64, 66, 67, 128, 1 << 61] {
      let flow = datagrams.openFlow(service: service, end: End())
      (DatagramTargetTests.encode(Self.good) + [1]).withUnsafeBytes { flow.send($0) }
    }
    world.loop.run(for: .seconds(1))
    #expect(world.datagramTargets.sockets.isEmpty && server.received.isEmpty)
    #expect(world.share.statistics.datagrams.dropped == 9)
  }

  @Test("new flows are bounded in rate, since each opens a socket")
  func flowRate() throws {
    let scene = try Scene()
    for _ in 0..<10_000 {
      let end = End()
      let flow = scene.world.link.openDatagramFlow(to: "out", end: end)
      (DatagramTargetTests.encode(Self.good) + [1]).withUnsafeBytes { flow?.send($0) }
      scene.world.loop.run(for: .microseconds(50))
    }
    scene.settle()
    let opened = scene.world.datagramTargets.sockets.count
    #expect(opened >= 2_048 && opened < 3_000, "\(opened) sockets within half a second")
    #expect(scene.world.datagramTargets.openCount <= DatagramFlows.flowsMax)
  }
}
