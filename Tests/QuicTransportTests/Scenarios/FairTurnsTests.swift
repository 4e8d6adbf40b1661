import Simulation
import Testing

@testable import QuicTransport

/// Peers whose packets cost more than others', in front of those that do not.
@Suite("Fair turns")
struct FairTurnsTests {
  /// Streams that the flooder opens at once, with a byte each: ten packets full of them, which is what
  /// it may send at first.
  private static let streams = 2_400

  private func flood(_ client: ConnectionProbe) throws {
    for _ in 0..<Self.streams { try client.open().stream.write([1]) }
  }

  @Test("a burst of streams is worked off in turns, and others are read in between")
  func between() throws {
    let world = try World()
    let (attacker, victim) = try world.connect()
    let (honest, other) = try world.connect()
    var ahead: Int?
    other.onOpened = { _ in ahead = victim.opened.count }
    try flood(attacker)
    try honest.open().stream.write([1])
    world.wait { ahead != nil }
    // One packet may be more than a turn's work.
    #expect(try #require(ahead) <= 300)
    world.wait { victim.opened.count { $0.received == 1 } == Self.streams }
    #expect(attacker.error == nil && world.server.turns.droppedCount == 0)
    #expect(!world.server.turns.isBusy && world.server.turns.bytesWaiting == 0)
  }

  @Test("streams with something to pass on do so in turns, and others are told in between")
  func told() throws {
    let world = try World()
    let (attacker, victim) = try world.connect()
    let (honest, other) = try world.connect()
    var ahead: Int?
    other.onOpened = { _ in ahead = victim.opened.count { $0.received == 1 } }
    try flood(attacker)
    try honest.open().stream.write([1])
    world.wait { ahead != nil }
    #expect(try #require(ahead) <= 100)
    world.wait { victim.opened.count { $0.received == 1 } == Self.streams }
  }

  @Test("datagrams that cost their receiver much are told in turns")
  func costly() throws {
    let world = try World()
    let (attacker, victim) = try world.connect()
    let (honest, other) = try world.connect()
    victim.onDatagram = { victim.connection?.chargeDelivery(.microseconds(100)) }
    var ahead: Int?
    other.onDatagram = { ahead = victim.datagrams.count }
    for number in 0..<200 { try attacker.connection?.sendDatagram([UInt8(number)]) }
    try honest.connection?.sendDatagram([1])
    world.wait { ahead != nil }
    #expect(try #require(ahead) <= 20)
    world.wait { victim.datagrams.count == 200 }
    #expect(victim.datagrams == (0..<200).map { [UInt8($0)] })
  }

  @Test("what was not told before the connection ended is told before its end")
  func endsLast() throws {
    let world = try World()
    let (client, server) = try world.connect()
    server.onDatagram = { server.connection?.chargeDelivery(.milliseconds(1)) }
    var toldAtEnd: Int?
    server.onClosed = { toldAtEnd = server.datagrams.count }
    for number in 0..<50 { try client.connection?.sendDatagram([UInt8(number)]) }
    world.wait { server.datagrams.count >= 2 }
    #expect(server.datagrams.count < 50)
    server.connection?.close(code: 1, reason: "enough")
    world.wait { toldAtEnd != nil }
    #expect(toldAtEnd == 50)
  }

  @Test("several that flood take turns")
  func several() throws {
    let world = try World()
    let pairs = try (0..<3).map { _ in try world.connect() }
    for pair in pairs { try flood(pair.client) }
    var largest = 0
    world.wait {
      let counts = pairs.map(\.server.opened.count)
      if let most = counts.max(), let least = counts.min(), most < 1_000 {
        largest = max(largest, most - least)
      }
      return counts.allSatisfy { $0 == Self.streams }
    }
    #expect(largest > 0 && largest <= 600, "one was \(largest) streams ahead of another")
  }

  @Test("what is set aside is bounded, what is beyond it is dropped, and the rest is in order")
  func bounded() throws {
    let world = try World()
    let (attacker, victim) = try world.connect()
    let (honest, other) = try world.connect()
    var small: [UInt8] = []
    let from = world.clientSocket.publicAddress
    world.network.onSend = { if $0.from == from { small = $0.bytes } }
    try attacker.connection?.sendDatagram([7])
    world.wait { victim.datagrams.count == 1 }
    let path = try #require(victim.connection).currentPath
    #expect(small.count < 100)
    // What has come already, so ngtcp2 drops it; that costs as much as an empty packet.
    small.withUnsafeBytes { bytes in
      for _ in 0..<50_000 {
        world.server.receive(
          ReceivedDatagram(bytes: bytes, path: path, ecn: .notCapable), now: world.loop.now)
      }
    }
    let turns = world.server.turns
    #expect(turns.isBusy && turns.droppedCount > 10_000 && turns.bytesWaiting <= 1 << 20)
    try honest.open().stream.write([1])
    world.wait(.milliseconds(100)) { other.opened.first?.received == 1 }
    world.wait(.milliseconds(100)) { !turns.isBusy }
    #expect(turns.bytesWaiting == 0)
    // Nobody bears a grudge.
    try attacker.connection?.sendDatagram([8])
    world.wait(.seconds(1)) { victim.datagrams.last == [8] }
    #expect(attacker.error == nil && honest.error == nil)
  }

  @Test("bulk in full packets is never set aside, in either direction or on many streams")
  func bulk() throws {
    for streams in [1, 50] {
      let world = try World { $0.link.latency = .milliseconds(5) }
      world.onAccepted = { probe in
        probe.onOpened = { $0.send(64 << 20 / streams, of: Pattern(seed: 2), finishing: true) }
      }
      let (client, _) = try world.connect()
      let probes = try (0..<streams).map { _ in try client.open() }
      for probe in probes { probe.send(16 << 20 / streams, of: Pattern(seed: 1), finishing: true) }
      world.wait(.seconds(60)) { probes.allSatisfy { $0.isClosed } }
      #expect(world.server.turns.setAsideCount == 0 && world.client.turns.setAsideCount == 0)
    }
  }

  @Test("a connection that ends takes what was set aside along")
  func ends() throws {
    let world = try World()
    let (attacker, victim) = try world.connect()
    try flood(attacker)
    world.wait { world.server.turns.isBusy }
    victim.connection?.close(code: 1, reason: "enough")
    world.wait(.seconds(10)) { world.server.connectionCount == 0 }
    #expect(!world.server.turns.isBusy && world.server.turns.bytesWaiting == 0)
  }
}
