import QuicTransport
import Simulation
import Testing

/// ngtcp2 1.11 aborts on an empty datagram; anybody can send one.
@Suite("F11: datagrams that are no packets")
struct F11Tests {
  private static let attacker = SocketAddress.otherHost.with(port: 6_666)

  /// Sends `datagrams` to both endpoints; returns what they answered.
  private func attack(_ world: World, _ datagrams: [[UInt8]]) -> [SimDatagram] {
    var answers: [SimDatagram] = []
    world.network.onSend = { if $0.to == Self.attacker { answers.append($0) } }
    defer { world.network.onSend = nil }
    for target in [world.serverSocket.localAddress, world.clientSocket.localAddress] {
      for bytes in datagrams { world.network.inject(bytes, from: Self.attacker, to: target) }
    }
    world.loop.run(for: .seconds(1))
    return answers
  }

  private func world() throws -> World {
    try World { $0.link.mtu = 70_000 }
  }

  @Test("nothing under 21 bytes is answered, and the endpoints go on serving")
  func tiny() throws {
    let world = try world()
    let (client, server) = try world.connect()
    let datagrams = (0...20).flatMap { count in
      [0x00, 0x40, 0x80, 0xc0, 0xff].map { [UInt8](repeating: $0, count: count) }
    }
    #expect(attack(world, datagrams).isEmpty)
    #expect(world.server.connectionCount == 1 && world.client.connectionCount == 1)
    let near = try client.open()
    near.send(10, of: Pattern(seed: 1), finishing: true)
    world.wait { server.opened.first?.sawEnd == true }
    #expect(try world.connect().client.isReady)
  }

  @Test(
    "garbage keeps no memory and gets no answer that is not smaller", arguments: Seeds.first(20))
  func garbage(seed: UInt64) throws {
    let world = try world()
    var random = SplitMix64(seed: seed)
    var datagrams: [[UInt8]] = []
    for _ in 0..<300 {
      let count = Int(random.below(1_500))
      datagrams.append((0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) })
    }
    for answer in attack(world, datagrams) { #expect(answer.bytes.count <= 256) }
    #expect(world.server.connectionCount == 0 && world.client.connectionCount == 0)
    #expect(try world.connect().client.isReady)
  }

  @Test("Version Negotiation from a stranger is dropped, whatever its connection IDs' length")
  func versionNegotiation() throws {
    let world = try world()
    let (client, server) = try world.connect()
    // RFC 8999 §6 allows IDs of up to 255 bytes; the decoder checks them in known versions only.
    let datagrams = [0, 8, 20, 21, 64, 255].flatMap { count in
      [count + 7 + 20, 1_200].map { size in
        let start: [UInt8] = [0x80, 0, 0, 0, 0, UInt8(count)]
        return start + [UInt8](repeating: 0, count: size - start.count)
      }
    }
    #expect(attack(world, datagrams).isEmpty)
    #expect(world.server.connectionCount == 1 && world.client.connectionCount == 1)
    #expect(!client.isClosed && !server.isClosed)
  }

  @Test("64 KB datagrams of every first byte do no harm")
  func huge() throws {
    let world = try world()
    let datagrams = stride(from: 0, through: 255, by: 5).map { first in
      [UInt8(first)] + [UInt8](repeating: 0x2a, count: 65_506)
    }
    _ = attack(world, datagrams)
    #expect(world.server.connectionCount == 0)
    #expect(try world.connect().client.isReady)
  }

  @Test(
    "Initials with mutations do no harm, and an honest client gets in", arguments: Seeds.first(20))
  func mutations(seed: UInt64) throws {
    let world = try world()
    var random = SplitMix64(seed: seed)
    var initial: [UInt8] = []
    world.network.onSend = { if initial.isEmpty { initial = $0.bytes } }
    _ = try world.connect()
    #expect(initial.count >= 1_200)
    let datagrams = (0..<300).map { _ in
      var copy = initial
      for _ in 0...random.below(3) {
        // Headers are where parsers break.
        let offset = Int(random.below(random.chance(0.7) ? 64 : UInt64(copy.count)))
        copy[offset] = UInt8(truncatingIfNeeded: random.next())
      }
      if random.chance(0.2) { copy.removeLast(Int(random.below(UInt64(copy.count)))) }
      return copy
    }
    _ = attack(world, datagrams)
    world.loop.run(for: .seconds(30))
    #expect(try world.connect().client.isReady)
  }

  @Test("datagrams that are not QUIC go to their own handler")
  func foreign() throws {
    let world = try world()
    var foreign: [[UInt8]] = []
    world.server.onForeignDatagram = { datagram, _ in foreign.append(Array(datagram.bytes)) }
    #expect(attack(world, [[0x2a, 1, 2], [0x00], [0x40, 1], []]).isEmpty)
    #expect(foreign == [[0x2a, 1, 2], [0x00]])
  }
}
