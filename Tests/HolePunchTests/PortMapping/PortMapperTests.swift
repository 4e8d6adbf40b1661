import QuicTransport
import Simulation
import Testing

@testable import HolePunch

@Suite("Port mapper")
struct PortMapperTests {
  /// A gateway written from the RFCs, without the code under test.
  private struct Gateway {
    var speaksPCP = true
    var speaksNATPMP = true
    var isSilent = false
    var lifetime: UInt32 = 3_600
    var result: UInt8 = 0
    var outsidePort: UInt16 = 40_000
    /// Inside ports that are forwarded.
    var forwarded: Set<UInt16> = []
    var asked = 0

    mutating func answer(_ bytes: [UInt8]) -> [UInt8]? {
      asked += 1
      if isSilent { return nil }
      if bytes[0] == 2 {
        guard speaksPCP else {
          return speaksNATPMP ? [0, 0x81, 0, 1, 0, 0, 0, 9] : nil
        }
        let inside = UInt16(bytes[40]) << 8 | UInt16(bytes[41])
        let isRemoval = bytes[4..<8].allSatisfy { $0 == 0 }
        if result == 0 { note(inside, isRemoval) }
        return [2, 0x81, 0, result] + number(isRemoval ? 0 : lifetime) + [0, 0, 0, 9]
          + [UInt8](repeating: 0, count: 12) + bytes[24..<42] + number(outsidePort)
          + [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 9]
      }
      guard speaksNATPMP else { return nil }
      if bytes.count == 2 { return [0, 0x80, 0, 0, 0, 0, 0, 9, 203, 0, 113, 9] }
      let inside = UInt16(bytes[4]) << 8 | UInt16(bytes[5])
      note(inside, bytes[8..<12].allSatisfy { $0 == 0 })
      return [0, 0x81, 0, result, 0, 0, 0, 9] + bytes[4..<6] + number(outsidePort)
        + number(lifetime)
    }

    private mutating func note(_ inside: UInt16, _ isRemoval: Bool) {
      if isRemoval { forwarded.remove(inside) } else { forwarded.insert(inside) }
    }

    private func number(_ value: some FixedWidthInteger) -> [UInt8] {
      withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }
  }

  /// A mapper and a gateway, in virtual time.
  private struct World {
    static let router = SocketAddress(ipv4: 0xc0a8_0101, port: 0)
    static let client = SocketAddress(ipv4: 0xc0a8_0120, port: 7_000)
    var gateway = Gateway()
    var mapper: PortMapper
    var now = SimLoop.start
    var events: [PortMapper.Effect] = []

    init(_ configure: (inout Gateway) -> Void = { _ in }) {
      configure(&gateway)
      var random = SplitMix64(seed: 1)
      mapper = PortMapper(
        gateway: Self.router, client: Self.client, now: now, using: &random)
    }

    mutating func run(_ duration: Duration) {
      let end = now + duration
      drain()
      while let due = mapper.timeout, due <= end {
        now = max(now, due)
        mapper.handleTimeout(now: now)
        drain()
      }
      now = end
    }

    mutating func drain() {
      while let effect = mapper.nextEffect() {
        guard case .send(let bytes, let to) = effect else {
          events.append(effect)
          continue
        }
        #expect(to == Self.router.with(port: 5_351))
        if let answer = gateway.answer(bytes) {
          mapper.receive(answer, from: to, now: now)
        }
      }
    }
  }

  private static let outside = SocketAddress(ipv4: 0xcb00_7109, port: 40_000)

  @Test("PCP maps at once, renews at half of the lifetime and gives back")
  func pcp() {
    var world = World()
    world.run(.seconds(1))
    #expect(world.mapper.mapping?.outside == Self.outside && world.mapper.mapping?.by == .pcp)
    #expect(world.gateway.forwarded == [7_000] && world.gateway.asked == 1)
    world.run(.seconds(1_798))
    #expect(world.gateway.asked == 1)
    world.run(.seconds(2))
    #expect(world.gateway.asked == 2)
    world.run(.seconds(36_000))
    #expect(world.events.count == 1, "renewals are no news: \(world.events)")
    world.mapper.remove()
    world.drain()
    #expect(world.gateway.forwarded.isEmpty && world.mapper.timeout == nil)
    #expect(world.events.last == .lost)
  }

  @Test("NAT-PMP serves where PCP is refused, and where it is not answered")
  func natPMP() {
    var old = World { $0.speaksPCP = false }
    old.run(.milliseconds(10))
    #expect(old.mapper.mapping?.outside == Self.outside && old.mapper.mapping?.by == .natPMP)
    old.mapper.remove()
    old.drain()
    #expect(old.gateway.forwarded.isEmpty)
    var silent = World { $0.isSilent = true }
    silent.run(.milliseconds(700))
    silent.gateway.isSilent = false
    silent.gateway.speaksPCP = false
    silent.run(.milliseconds(100))
    #expect(silent.mapper.mapping?.by == .natPMP)
  }

  @Test("a gateway without either is left alone for ten minutes")
  func unavailable() {
    var world = World { $0.isSilent = true }
    world.run(.seconds(599))
    #expect(world.events == [.unavailable])
    #expect(world.gateway.asked == 3 + 3 * 2)
    world.gateway.isSilent = false
    world.run(.seconds(5))
    #expect(world.mapper.mapping != nil)
  }

  @Test("a refusal, a lifetime of nothing and an impossible address are no mapping")
  func refusals() {
    for configure: (inout Gateway) -> Void in [
      { $0.result = 2 }, { $0.lifetime = 0 }, { $0.outsidePort = 0 },
    ] {
      var world = World(configure)
      world.run(.seconds(10))
      #expect(world.mapper.mapping == nil && world.events == [.unavailable])
    }
  }

  @Test("a gateway that vanishes loses the mapping when its lifetime ends; another port is news")
  func vanishing() {
    var world = World()
    world.run(.seconds(1))
    world.gateway.outsidePort = 40_001
    world.run(.seconds(1_800))
    #expect(world.mapper.mapping?.outside == Self.outside.with(port: 40_001))
    #expect(world.events.count == 2)
    world.gateway.isSilent = true
    world.run(.seconds(3_500))
    #expect(world.mapper.mapping != nil)
    world.run(.seconds(200))
    #expect(world.mapper.mapping == nil && world.events.contains(.lost))
    #expect(world.gateway.asked < 80, "\(world.gateway.asked)")
  }

  @Test("only the gateway is believed, and only about our nonce and port", arguments: Seeds.all)
  func forged(seed: UInt64) throws {
    var world = World { $0.isSilent = true }
    world.run(.milliseconds(1))
    var gateway = Gateway()
    let request = PCPMessage.request(
      client: World.client, nonce: try #require(TransactionID([UInt8](repeating: 0, count: 12))),
      lifetime: 7_200, suggested: nil)
    let reply = gateway.answer(request)
    let answer = try #require(reply)
    let router = World.router.with(port: 5_351)
    world.mapper.receive(answer, from: router, now: world.now)
    #expect(world.mapper.mapping == nil, "another nonce")
    var random = SplitMix64(seed: seed)
    for _ in 0..<5_000 {
      var bytes = Array(answer.prefix(Int(random.below(70))))
      if bytes.count > 1 { bytes[Int(random.below(UInt64(bytes.count)))] ^= 1 }
      world.mapper.receive(bytes, from: router, now: world.now)
      world.mapper.receive(bytes, from: World.client, now: world.now)
    }
    #expect(world.mapper.mapping == nil)
  }
}
