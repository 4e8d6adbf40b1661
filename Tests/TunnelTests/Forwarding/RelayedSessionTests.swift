import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Sessions through a relay", .timeLimit(.minutes(2)))
struct RelayedSessionTests {
  @Test("two NATs with random ports, which nobody punches: the session works through the relay")
  func randomSymmetric() throws {
    let world = try RelayedWorld(
      translator: SimNAT.Settings(
        mapping: .addressAndPortDependent, filtering: .addressAndPortDependent, allocation: .random)
    )
    let start = world.loop.now
    try world.open()
    #expect(world.isOpen && world.carrier == .relay)
    // QUIC and greeting with the relay, FIND to LEG, and QUIC and greeting with the share.
    #expect(world.loop.now - start <= .milliseconds(200))
    #expect(world.link.statistics.path?.remote == world.relay.socket.localAddress)
    let payload = Payload.bytes(2_000_000, seed: 1)
    let program = world.connect()
    program.send(payload, finishing: true)
    _ = world.loop.run(for: .seconds(60)) { world.targets.programs.first?.sawEnd == true }
    #expect(Payload.difference(world.targets.programs.first?.received, payload) == nil)
    world.loop.run(for: .seconds(400))
    #expect(world.errors.isEmpty && world.relay.core.forwarder.totals.sessionsOpen == 1)
  }

  @Test("an idle session is direct soon, with a few kilobytes through the relay each way")
  func idle() throws {
    let world = try RelayedWorld()
    var bytes: [SocketAddress: Int] = [:]
    world.network.onSend = { datagram in
      guard datagram.to == world.relay.socket.localAddress,
        datagram.bytes.first == RelayHeader.firstByte
      else { return }
      bytes[datagram.from, default: 0] += datagram.bytes.count
    }
    var legAt = world.loop.now
    world.linkGuest.onLeg = { leg in
      legAt = world.loop.now
      world.link.roadFound(leg.path)
      // What a plain NAT takes: a probe each way and its answer.
      world.loop.after(.milliseconds(60)) { world.link.roadFound(world.direct) }
    }
    try world.linkGuest.connect(to: world.relay)
    _ = world.loop.run(for: .seconds(10)) { world.carrier == .udp }
    #expect(world.carrier == .udp)
    #expect(world.loop.now - legAt < .milliseconds(400))
    #expect(bytes.count <= 2 && bytes.values.allSatisfy { $0 <= 6_144 }, "\(bytes)")
  }

  @Test("a session that nobody uses spares the relay, and its packets grow when somebody does")
  func unused() throws {
    let world = try RelayedWorld()
    var bytes: [SocketAddress: Int] = [:]
    var largest = 0
    world.network.onSend = { datagram in
      guard datagram.to == world.relay.socket.localAddress,
        datagram.bytes.first == RelayHeader.firstByte
      else { return }
      bytes[datagram.from, default: 0] += datagram.bytes.count + 28
      largest = max(largest, datagram.bytes.count)
    }
    try world.open()
    world.loop.run(for: .seconds(5))
    #expect(bytes.count == 2 && bytes.values.allSatisfy { $0 <= 6_144 }, "\(bytes)")
    #expect(largest <= RelayHeader.byteCount + 1_200)
    let payload = Payload.bytes(500_000, seed: 6)
    let program = world.connect()
    program.send(payload, finishing: true)
    _ = world.loop.run(for: .seconds(60)) { world.targets.programs.first?.sawEnd == true }
    #expect(Payload.difference(world.targets.programs.first?.received, payload) == nil)
    #expect(largest > RelayHeader.byteCount + 1_400 && world.carrier == .relay)
  }

  @Test(
    "from the relay to the direct path under load: no byte is lost or comes twice",
    arguments: Seeds.all)
  func upgrade(seed: UInt64) throws {
    let world = try RelayedWorld(seed: seed)
    try world.open()
    let payload = Payload.bytes(6_000_000, seed: seed)
    let program = world.connect()
    program.send(payload, finishing: true)
    world.loop.run(for: .milliseconds(200))
    #expect(world.carrier == .relay)
    let start = world.loop.now
    world.link.roadFound(world.direct)
    _ = world.loop.run(for: .seconds(5)) { world.carrier == .udp }
    #expect(world.loop.now - start <= .milliseconds(160), "seed \(seed)")
    _ = world.loop.run(for: .seconds(60)) { world.targets.programs.first?.sawEnd == true }
    #expect(
      Payload.difference(world.targets.programs.first?.received, payload) == nil, "seed \(seed)")
    #expect(world.errors.isEmpty)
  }

  @Test("the direct path goes dark under load: data flows through the relay within a second")
  func fallback() throws {
    let world = try RelayedWorld()
    try world.open()
    world.link.roadFound(world.direct)
    _ = world.loop.run(for: .seconds(5)) { world.carrier == .udp }
    // Long enough for the relayed path to be a spare.
    world.loop.run(for: .seconds(20))
    let program = world.connect()
    let payload = Payload.bytes(40_000_000, seed: 3)
    program.send(payload, finishing: true)
    world.loop.run(for: .milliseconds(500))
    world.setDirect(blackhole: true)
    let cut = world.loop.now
    world.loop.run(for: .milliseconds(50))
    let before = world.targets.programs.first?.received.count ?? 0
    _ = world.loop.run(for: .seconds(5)) {
      (world.targets.programs.first?.received.count ?? 0) > before
    }
    #expect(world.carrier == .relay)
    #expect(world.loop.now - cut <= .milliseconds(1_050))
    world.loop.run(for: .seconds(2))
    world.setDirect(blackhole: false)
    _ = world.loop.run(for: .seconds(120)) { world.targets.programs.first?.sawEnd == true }
    #expect(Payload.difference(world.targets.programs.first?.received, payload) == nil)
    // And back, once the direct path has rested.
    _ = world.loop.run(for: .seconds(60)) { world.carrier == .udp }
    #expect(world.carrier == .udp && world.errors.isEmpty)
  }

  @Test("one node has only TCP to the relay, the other UDP: bytes cross exactly")
  func mixed() throws {
    let world = try RelayedWorld()
    try world.open(overTCP: true)
    #expect(world.isOpen && world.carrier == .relay)
    #expect(world.link.statistics.path?.remote == world.relay.socket.localAddress)
    let payload = Payload.bytes(3_000_000, seed: 4)
    let program = world.connect()
    program.send(payload, finishing: true)
    _ = world.loop.run(for: .seconds(60)) { world.targets.programs.first?.sawEnd == true }
    #expect(Payload.difference(world.targets.programs.first?.received, payload) == nil)
  }

  @Test("a relay that vanishes while the session is direct is not missed")
  func relayGone() throws {
    let world = try RelayedWorld()
    try world.open()
    world.link.roadFound(world.direct)
    _ = world.loop.run(for: .seconds(5)) { world.carrier == .udp }
    world.relay.vanish()
    let program = world.connect()
    for round in 0..<60 {
      program.send(Payload.bytes(1_000, seed: UInt64(round)))
      world.loop.run(for: .seconds(1))
    }
    #expect(world.targets.programs.first?.received.count == 60_000)
    #expect(world.link.statistics.switches == 1 && world.errors.isEmpty)
  }

  @Test("the node's address changes while it is relayed: flows go on")
  func rebinding() throws {
    let world = try RelayedWorld()
    try world.open()
    let program = world.connect()
    let payload = Payload.bytes(3_000_000, seed: 5)
    program.send(payload, finishing: true)
    world.loop.run(for: .milliseconds(100))
    world.linkSocket.rebind(to: world.linkSocket.localAddress.with(port: 60_001))
    _ = world.loop.run(for: .seconds(30)) { world.targets.programs.first?.sawEnd == true }
    #expect(Payload.difference(world.targets.programs.first?.received, payload) == nil)
    #expect(world.relay.core.forwarder.totals.bindings >= 1)
    #expect(world.carrier == .relay && world.errors.isEmpty)
  }

  @Test("a lost session is dialled again over the leg, which the relay does not grant twice")
  func redialled() throws {
    let world = try RelayedWorld(retry: .afterLoss)
    try world.open()
    #expect(world.carrier == .relay)
    let lost = try #require(world.link.openSession)
    lost.close(code: TunnelCode.superfluous, reason: "lost")
    _ = world.loop.run(for: .seconds(5)) { world.link.statistics.sessions == 2 }
    #expect(world.link.statistics.sessions == 2 && world.carrier == .relay)
    #expect(world.link.openSession !== lost && world.errors.isEmpty)
  }

  @Test("a leg's label is no byte stream's: whoever gives up the one does not close the other")
  func labels() {
    #expect(PathLabel.carrierNumber(PathLabel.carrier(1, kind: .relay)) == nil)
    #expect(PathLabel.carrierNumber(PathLabel.carrier(1, kind: .tcp)) == 1)
    #expect(CarrierKind(PathLabel.carrier(1, kind: .relay)) == .relay)
  }

  @Test("legs end with their introduction, and both nodes hear why there are none")
  func ending() throws {
    var limits = RelayLimits()
    limits.forwarding.sessionsMax = 1
    let world = try RelayedWorld(limits: limits)
    try world.open()
    #expect(world.relay.core.forwarder.totals.sessionsOpen == 1)
    let other = try RelayNode(
      network: world.network, host: .otherHost, identity: .fixture(5))
    try other.connect(to: world.relay, capabilities: RelayMessage.forwards)
    other.say(.find(.init(peer: TunnelWorld.shareIdentity.publicKey, token: [1])))
    world.loop.run(for: .seconds(1))
    let refusal = RelayMessage.forwarding(.refused(introduction: 2, reason: 1))
    #expect(other.heard.contains(refusal) && world.shareGuest.heard.contains(refusal))
    world.linkGuest.say(.done(introduction: 1))
    world.loop.run(for: .seconds(1))
    #expect(world.relay.core.forwarder.totals.sessionsOpen == 0)
  }

  @Test("a node that does not take relayed datagrams gets no leg, nor does its peer")
  func capability() throws {
    let world = try RelayedWorld()
    let other = try RelayNode(
      network: world.network, host: .otherHost, identity: .fixture(5))
    try other.connect(to: world.relay)
    other.say(.find(.init(peer: TunnelWorld.shareIdentity.publicKey, token: [1])))
    world.loop.run(for: .seconds(1))
    #expect(world.relay.core.totals.introductions == 1)
    #expect(world.relay.core.forwarder.totals.sessions == 0)
    for message in other.heard + world.shareGuest.heard {
      if case .forwarding = message { Issue.record("told of legs: \(message)") }
    }
  }
}
