import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Sharing a relay's rate", .timeLimit(.minutes(1)))
struct FairnessTests {
  /// Datagrams of one path to a forwarder, and when those for the other leg left it.
  private final class Flood {
    let world: ForwardWorld
    var sessions: [SessionOrder] = []
    var left: [UInt32: [Instant]] = [:]
    var bytes: [UInt32: Int] = [:]
    private var stub: StubSocket!

    init(count: Int, limits: ForwardingLimits) throws {
      world = try ForwardWorld(limits: limits)
      stub = StubSocket(localAddress: Self.path(0).local) { [unowned self] batch in
        var offset = 0
        while offset < batch.bytes.count {
          let size = min(batch.segmentSize, batch.bytes.count - offset)
          let part = UnsafeRawBufferPointer(rebasing: batch.bytes[offset..<offset + size])
          if let header = RelayHeader(part) {
            left[header.session, default: []].append(world.loop.now)
            bytes[header.session, default: 0] += size - RelayHeader.byteCount
          }
          offset += size
        }
      }
      world.endpoint.add(stub)
      for number in 0..<count {
        func party(_ leg: Int) -> ForwardingDesk.Party {
          ForwardingDesk.Party(
            identity: Identity.fixture(UInt8(1 + number * 2 + leg)).publicKey,
            path: Self.path(UInt16(number * 2 + leg)), address: UInt64(number))
        }
        sessions.append(try world.desk.open(between: party(0), and: party(1), payer: nil))
      }
    }

    private static func path(_ port: UInt16) -> NetworkPath {
      NetworkPath(
        local: PathLabel.carrier(7, kind: .relay).local,
        remote: SocketAddress(ipv4: 0x0a00_0001, port: 1_000 + port))
    }

    func send(_ session: SessionOrder, count: Int) {
      let header = RelayHeader(
        kind: .data, sequence: 0, session: session.number,
        generation: session.legs[0].generation)
      (header.encoded + [UInt8](repeating: 0x40, count: count)).withUnsafeBytes {
        world.forwarder.receive(
          ReceivedDatagram(bytes: $0, path: session.legs[0].path, ecn: .capable0),
          now: world.loop.now)
      }
    }
  }

  @Test("above the total rate, one flood and nine quiet sessions: the quiet ones wait under 5 ms")
  func interactive() throws {
    var limits = ForwardingLimits()
    limits.bytesPerSecond = 1_250_000
    limits.burst = 65_536
    let flood = try Flood(count: 10, limits: limits)
    var sent: [Instant] = []
    // Four times what the relay may send, and a keystroke of each other session every 10 ms.
    for _ in 0..<200 {
      for _ in 0..<42 { flood.send(flood.sessions[0], count: 1_200) }
      sent.append(flood.world.loop.now)
      for quiet in flood.sessions.dropFirst() { flood.send(quiet, count: 100) }
      flood.world.run(.milliseconds(10))
    }
    for quiet in flood.sessions.dropFirst() {
      let left = try #require(flood.left[quiet.number])
      #expect(left.count == sent.count)
      let waits = zip(left, sent).map { $0 - $1 }
      #expect((waits.max() ?? .zero) < .milliseconds(5))
    }
    let total = flood.bytes.values.reduce(0, +)
    #expect((2_400_000...2_600_000).contains(total))
    #expect(flood.world.desk.totals.datagramsCrowdedOut > 0)
  }

  @Test("floods of different packet sizes get equal shares")
  func shares() throws {
    var limits = ForwardingLimits()
    limits.bytesPerSecond = 1_000_000
    limits.burst = 65_536
    let flood = try Flood(count: 4, limits: limits)
    for _ in 0..<300 {
      for (index, session) in flood.sessions.enumerated() {
        for _ in 0..<(20_000 / (300 * (index + 1))) {
          flood.send(session, count: 300 * (index + 1))
        }
      }
      flood.world.run(.milliseconds(10))
    }
    let shares = flood.sessions.map { flood.bytes[$0.number] ?? 0 }
    #expect(Double(shares.max() ?? 0) < Double(shares.min() ?? 0) * 1.05, "\(shares)")
  }

  @Test("what waits is bounded, and closing a session lets go of its share")
  func bounded() throws {
    var limits = ForwardingLimits()
    limits.bytesPerSecond = 10_000
    limits.burst = 65_536
    limits.queueBytes = 300_000
    let flood = try Flood(count: 4, limits: limits)
    for session in flood.sessions {
      for _ in 0..<1_000 { flood.send(session, count: 1_000) }
    }
    #expect(flood.world.forwarder.queuedCount <= 300_000 + 1_100)
    for session in flood.sessions { flood.world.desk.close(session.number) }
    #expect(flood.world.forwarder.queuedCount == 0)
    flood.world.run(.seconds(1))
  }

  @Test("a ring gives back what it was given, wrapped or not")
  func ring() {
    let ring = PacketRing(capacity: 1_000)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1_000, alignment: 1)
    defer { buffer.deallocate() }
    var expected: [[UInt8]] = []
    for round in 0..<500 {
      let bytes = Payload.bytes(1 + round * 37 % 240, seed: UInt64(round))
      if bytes.withUnsafeBytes({ ring.append($0, leg: round % 2, ecn: .capable0) }) {
        expected.append(bytes)
      }
      if round % 3 == 0 || expected.count > 5 {
        #expect(ring.first.map { Int($0.count) } == expected.first?.count)
        #expect(Array(ring.removeFirst(into: buffer)) == expected.removeFirst())
      }
    }
    while !expected.isEmpty {
      #expect(Array(ring.removeFirst(into: buffer)) == expected.removeFirst())
    }
    #expect(ring.isEmpty && ring.first == nil)
  }
}
