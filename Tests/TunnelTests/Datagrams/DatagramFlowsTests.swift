import QuicTransport
import Simulation
import Testing

@testable import Tunnel

/// UDP flows from one local program through two sessions' ends to another.
@Suite("UDP flows")
struct DatagramFlowsTests {
  private static let dns = Service(name: "dns", target: .udp([SimDatagramTargets.dns]))

  /// A tunnel that is open, with a UDP service, its server, and its local address.
  private struct Scene {
    let world: TunnelWorld
    let server: DatagramProgram
    let programs: ProgramDatagrams
    let address: SocketAddress

    init(_ configure: (inout TunnelWorld.Options) -> Void = { _ in }) throws {
      world = try TunnelWorld {
        $0.services = [DatagramFlowsTests.dns]
        configure(&$0)
      }
      server = DatagramProgram(network: world.network, at: SimDatagramTargets.dns)
      server.echoes = true
      try world.open()
      (programs, address) = world.openDatagrams("dns")
    }

    func program() -> DatagramProgram { DatagramProgram(network: world.network) }
  }

  @Test("datagrams of every size pass both ways whole, empty ones and the largest too")
  func sizes() throws {
    let scene = try Scene()
    let program = scene.program()
    for size in [0, 1, 1_100, 1_200, 1_430, 1_500, 9_000, 65_507] {
      let bytes = Payload.bytes(size, seed: UInt64(size))
      program.send(bytes, to: scene.address)
      scene.world.wait(.seconds(5)) { !program.received.isEmpty }
      #expect(Payload.difference(scene.server.received.last, bytes) == nil)
      #expect(Payload.difference(program.received.first, bytes) == nil)
      // Answers leave from the address that the program wrote to.
      #expect(program.senders == [scene.address])
      program.forget()
    }
    let traffic = scene.world.link.statistics.datagrams
    #expect(traffic.sent == 8 && traffic.received == 8 && traffic.dropped == 0)
    #expect(traffic.bytesSent == 0 + 1 + 1_100 + 1_200 + 1_430 + 1_500 + 9_000 + 65_507)
    #expect(scene.world.share.statistics.datagrams == traffic)
    #expect(scene.world.link.statistics.datagramFlows == 1)
  }

  @Test("a burst arrives in order, equal sizes and others mixed", arguments: Seeds.all)
  func burst(seed: UInt64) throws {
    let scene = try Scene { $0.seed = seed }
    var random = SplitMix64(seed: seed)
    let program = scene.program()
    scene.world.loop.run(for: .seconds(2))
    let sent = (0..<40).map { number in
      Payload.bytes(random.chance(0.7) ? 100 : Int(random.below(300)), seed: UInt64(number))
    }
    for bytes in sent { program.send(bytes, to: scene.address) }
    scene.world.loop.run(for: .seconds(1))
    #expect(scene.server.received == sent)
    #expect(program.received == sent)
  }

  @Test("empty datagrams are not lost among others")
  func empty() throws {
    let scene = try Scene()
    let program = scene.program()
    let sent: [[UInt8]] = [[], [1, 2], [], [], [3, 4], [5], []]
    for bytes in sent { program.send(bytes, to: scene.address) }
    scene.world.loop.run(for: .seconds(1))
    #expect(scene.server.received == sent)
    #expect(program.received == sent)
  }

  @Test("each program has a flow and a socket of its own, and hears its own answers")
  func programs() throws {
    let scene = try Scene()
    let programs = (0..<20).map { _ in scene.program() }
    for (number, program) in programs.enumerated() {
      program.send([UInt8(number)], to: scene.address)
    }
    scene.world.wait { programs.allSatisfy { !$0.received.isEmpty } }
    #expect(programs.map(\.received) == (0..<20).map { [[UInt8($0)]] })
    #expect(Set(scene.server.senders).count == 20)
    #expect(scene.world.share.statistics.datagramFlowsOpen == 20)
  }

  @Test(
    "on a bad path what arrives is whole and comes once, and nothing is sent again",
    arguments: Seeds.all)
  func badPath(seed: UInt64) throws {
    let scene = try Scene {
      $0.seed = seed
      $0.network.lossRate = 0.05
      $0.network.duplicationRate = 0.05
      $0.network.reorderingRate = 0.2
    }
    let program = scene.program()
    let sent = (0..<200).map { number in
      Payload.bytes(number % 3 == 0 ? 5_000 : 500, seed: UInt64(number))
    }
    for bytes in sent {
      program.send(bytes, to: scene.address)
      scene.world.loop.run(for: .milliseconds(20))
    }
    scene.world.loop.run(for: .seconds(3))
    let arrived = scene.server.received
    #expect(arrived.allSatisfy(sent.contains))
    #expect(Set(arrived).count == arrived.count)
    #expect(arrived.count > 100 && arrived.count < 200)
    #expect(scene.world.share.statistics.datagrams.dropped > 0, "no fragment was left over")
  }

  @Test("the largest datagram passes a long path, where its fragments wait for the window to open")
  func longPath() throws {
    let scene = try Scene { $0.network.latency = .milliseconds(50) }
    scene.world.loop.run(for: .seconds(5))
    let program = scene.program()
    let bytes = Payload.bytes(65_507, seed: 1)
    program.send(bytes, to: scene.address)
    scene.world.loop.run(for: .seconds(3))
    #expect(Payload.difference(program.received.first, bytes) == nil)
    #expect(scene.world.link.statistics.datagrams.dropped == 0)
  }

  @Test("a flow that is idle ends on both sides, and the program's next datagram begins another")
  func idle() throws {
    let scene = try Scene { $0.udpTimeout = .seconds(20) }
    let program = scene.program()
    program.send([1], to: scene.address)
    scene.world.loop.run(for: .seconds(15))
    program.send([2], to: scene.address)
    scene.world.loop.run(for: .seconds(15))
    #expect(scene.world.share.statistics.datagramFlowsOpen == 1)
    #expect(scene.world.linkJournal.datagramReports.isEmpty)
    scene.world.loop.run(for: .seconds(6))
    #expect(scene.world.share.statistics.datagramFlowsOpen == 0)
    #expect(scene.world.datagramTargets.openCount == 0)
    for journal in [scene.world.linkJournal, scene.world.shareJournal] {
      let report = try #require(journal.datagramReports.first)
      #expect(report.ending == .idle && report.traffic.sent == 2 && report.traffic.received == 2)
    }
    program.send([3], to: scene.address)
    scene.world.wait { program.received == [[1], [2], [3]] }
    #expect(scene.world.link.statistics.datagramFlows == 2)
  }

  @Test("beyond the limit the flow that was unused for the longest time makes room")
  func eviction() throws {
    let scene = try Scene()
    let first = scene.program()
    let second = scene.program()
    for program in [first, second] { program.send([0], to: scene.address) }
    var others: [DatagramProgram] = []
    for _ in 2..<DatagramFlows.flowsMax {
      others.append(scene.program())
      others.last?.send([1], to: scene.address)
      scene.world.loop.run(for: .milliseconds(1))
    }
    first.send([2], to: scene.address)
    scene.world.loop.run(for: .seconds(1))
    #expect(scene.world.share.statistics.datagramFlowsOpen == DatagramFlows.flowsMax)
    let late = scene.program()
    late.send([3], to: scene.address)
    scene.world.wait { late.received == [[3]] }
    for journal in [scene.world.linkJournal, scene.world.shareJournal] {
      #expect(journal.datagramReports.map(\.number) == [1])
      #expect(journal.datagramReports.map(\.ending) == [.evicted])
    }
    #expect(scene.world.datagramTargets.openCount == DatagramFlows.flowsMax)
    first.send([4], to: scene.address)
    scene.world.wait { first.received == [[0], [2], [4]] }
  }

  @Test("flows go on after UDP is blocked, over TCP, and return; only the gap is lost")
  func carrierSwitch() throws {
    let scene = try Scene {
      $0.network.latency = .milliseconds(20)
      $0.tcpPasses = true
    }
    let program = scene.program()
    var longest = Duration.zero
    var last = scene.world.loop.now
    func run(_ count: Int) {
      for _ in 0..<count {
        let before = program.received.count
        program.send(Payload.bytes(200, seed: 1), to: scene.address)
        scene.world.loop.run(for: .milliseconds(20))
        if program.received.count > before { last = scene.world.loop.now }
        longest = max(longest, scene.world.loop.now - last)
      }
    }
    run(100)
    scene.world.cutNetwork()
    run(200)
    #expect(scene.world.link.statistics.path?.carrier == .tcp)
    scene.world.mendNetwork()
    run(1_500)
    #expect(scene.world.link.statistics.path?.carrier == .udp)
    #expect(longest < .milliseconds(2_500), "\(longest)")
    #expect(program.received.count > 1_650)
  }

  @Test("a stream to a UDP service is refused by its own code, a datagram to a stream service lost")
  func kinds() throws {
    let web = Service(name: "web", target: .tcp([SimTargets.web]))
    let scene = try Scene { $0.services = [Self.dns, web] }
    let kinds: [ControlMessage.Service.Kind] = [.datagram, .stream]
    #expect(scene.world.link.services.map(\.kind) == kinds)
    let stream = scene.world.connect(to: "dns")
    stream.send([1])
    scene.world.wait { stream.isOver }
    #expect(scene.world.linkJournal.reports.map(\.ending) == [.rejected])
    let (programs, address) = scene.world.openDatagrams("web")
    let program = scene.program()
    program.send([1], to: address)
    scene.world.loop.run(for: .seconds(1))
    #expect(scene.world.share.statistics.datagramFlows == 0)
    #expect(scene.world.share.statistics.datagrams.dropped == 1)
    withExtendedLifetime(programs) {}
  }

  @Test("the first address of a usable family is the target; a refused one is counted")
  func targets() throws {
    let first = SocketAddress(high: 0, low: 1, port: 53)
    let scene = try Scene {
      let addresses = [first, SimDatagramTargets.dns]
      $0.services = [Service(name: "dns", target: .udp(addresses))]
    }
    scene.world.datagramTargets.unusable = [first]
    let program = scene.program()
    program.send([1], to: scene.address)
    scene.world.wait { program.received == [[1]] }
    #expect(scene.world.datagramTargets.attempts == [first, SimDatagramTargets.dns])
    let socket = try #require(scene.world.datagramTargets.sockets.first)
    socket.receiver?.datagramSocketRefused(socket)
    #expect(scene.world.share.statistics.datagrams.refused == 1)
  }

  @Test("flows end with their session and with their local address")
  func ends() throws {
    let scene = try Scene()
    let program = scene.program()
    program.send([1], to: scene.address)
    scene.world.wait { program.received == [[1]] }
    scene.programs.close()
    #expect(scene.world.linkJournal.datagramReports.map(\.ending) == [.closed])
    scene.world.link.close()
    scene.world.wait { scene.world.shareJournal.datagramReports.count == 1 }
    #expect(scene.world.datagramTargets.openCount == 0)
    #expect(scene.world.share.statistics.datagrams.received == 1)
    #expect(scene.world.link.statistics.datagrams.sent == 1)
  }

  @Test("a target's socket that takes nothing loses datagrams and nothing else")
  func blockedTarget() throws {
    let scene = try Scene()
    let program = scene.program()
    program.send([0], to: scene.address)
    scene.world.wait { program.received == [[0]] }
    scene.world.datagramTargets.sockets.first?.block(for: .milliseconds(100))
    for number in UInt8(1)..<5 {
      program.send([number], to: scene.address)
      scene.world.loop.run(for: .milliseconds(10))
    }
    scene.world.loop.run(for: .seconds(1))
    program.send([9], to: scene.address)
    scene.world.wait { program.received.last == [9] }
    // The first of them is kept by the socket.
    #expect(scene.server.received == [[0], [1], [9]])
    #expect(scene.world.share.statistics.datagrams.dropped == 3)
  }

  @Test("a flood of hostile frames costs bounded memory and nobody else", arguments: Seeds.all)
  func hostile(seed: UInt64) throws {
    let scene = try Scene { $0.seed = seed }
    var random = SplitMix64(seed: seed)
    let attacker = try RawPeer(
      loop: scene.world.loop, socket: scene.world.network.bind(.otherHost), identity: .fixture(3),
      acceptsConnections: false)
    attacker.onReady = { $0.greet() }
    try attacker.dial(TunnelWorld.shareAddress, expecting: TunnelWorld.shareIdentity)
    scene.world.wait { scene.world.shareJournal.opened == 2 }
    let program = scene.program()
    for round in 0..<300 {
      for _ in 0..<20 {
        try attacker.connection?.sendDatagram(hostileFrame(&random))
      }
      scene.world.loop.run(for: .milliseconds(5))
      if round % 30 == 0 {
        program.forget()
        program.send([UInt8(round / 30)], to: scene.address)
        scene.world.wait(.seconds(1)) { program.received == [[UInt8(round / 30)]] }
      }
    }
    #expect(attacker.error == nil)
    #expect(scene.world.datagramTargets.openCount <= DatagramFlows.flowsMax + 1)
    #expect(scene.world.share.statistics.datagrams.dropped > 100)
  }

  /// Noise, or a header whose fields are each likely to be just right or just wrong.
  private func hostileFrame(_ random: inout SplitMix64) -> [UInt8] {
    if random.chance(0.2) { return Payload.bytes(1 + Int(random.below(60)), seed: random.next()) }
    var frame = WireWriter()
    frame.varint(random.chance(0.5) ? random.below(3) : random.next() >> 2)
    frame.varint(random.below(3))
    frame.byte(UInt8(random.below(3)))
    if random.chance(0.8) {
      frame.varint(random.below(100))
      frame.varint(random.below(66))
      frame.varint(random.below(67))
    }
    frame.raw([UInt8](repeating: 0, count: Int(random.below(1_000))))
    return frame.bytes
  }
}
