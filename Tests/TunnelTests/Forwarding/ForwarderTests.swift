import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Forwarding between two legs", .timeLimit(.minutes(1)))
struct ForwarderTests {
  private static let stranger = SocketAddress(ipv4: 0xc633_6401, port: 77)

  private static func data(_ session: UInt32, _ generation: UInt32, count: Int = 100) -> [UInt8] {
    RelayHeader(kind: .data, sequence: 0, session: session, generation: generation).encoded
      + [UInt8](repeating: 0x40, count: count)
  }

  @Test("datagrams cross in both directions, whole and in order, and a batch stays one")
  func crossing() throws {
    let world = try ForwardWorld()
    let bytes = Payload.bytes(1_200 * 20 + 300, seed: 1)
    world.one.send(bytes, segmentSize: 1_200)
    world.other.send([1, 2, 3])
    world.run()
    #expect(world.other.received.map(\.count) == [Int](repeating: 1_200, count: 20) + [300])
    #expect(world.other.received.flatMap { $0 } == bytes)
    #expect(world.one.received == [[1, 2, 3]])
    #expect(world.desk.totals.datagrams == 22)
    #expect(world.desk.totals.bytes == UInt64(bytes.count + 3))
  }

  @Test("what fits no leg is dropped without an answer: forged sources, sessions, generations")
  func forged() throws {
    let world = try ForwardWorld()
    let number = world.session.number
    let generation = world.session.legs[0].generation
    let before = world.network.sentCount
    let forgeries: [(bytes: [UInt8], from: SocketAddress)] = [
      (Self.data(number, generation), Self.stranger),
      (Self.data(number &+ 1, generation), world.one.socket.localAddress),
      (Self.data(number, generation &+ 1), world.one.socket.localAddress),
      (Self.data(number, generation &- 1), world.one.socket.localAddress),
      (Self.data(number, generation, count: 0), world.one.socket.localAddress),
      ([0x2b], Self.stranger), ([0x2b, 9] + [UInt8](repeating: 0, count: 60), Self.stranger),
    ]
    for forgery in forgeries {
      world.network.inject(forgery.bytes, from: forgery.from, to: world.relay)
    }
    world.run()
    #expect(world.network.sentCount == before + forgeries.count)
    #expect(world.other.received.isEmpty && world.one.received.isEmpty)
    #expect(world.desk.totals.datagramsUnknown == UInt64(forgeries.count))
  }

  @Test("random bytes of any length neither pass nor are answered")
  func noise() throws {
    let world = try ForwardWorld()
    let before = world.network.sentCount
    for round in 0..<2_000 {
      var bytes = Payload.bytes(1 + round % 80, seed: UInt64(round))
      bytes[0] = 0x2b
      world.network.inject(bytes, from: Self.stranger, to: world.relay)
    }
    world.run()
    #expect(world.network.sentCount == before + 2_000)
    #expect(world.desk.totals.datagramsUnknown == 2_000)
  }

  @Test("a node whose address changes has its leg back in one round trip after it notices")
  func rebinding() throws {
    let world = try ForwardWorld()
    world.one.send([1])
    world.run()
    world.other.send([2])
    world.run()
    world.one.socket.rebind(to: world.one.socket.localAddress.with(port: 60_000))
    let start = world.loop.now
    // As QUIC does: something each 10 ms.
    for round in 0..<60 {
      world.one.send([3, UInt8(round)])
      world.other.send([4])
      world.run(.milliseconds(10))
    }
    let first = try #require(world.other.arrivals.dropFirst().first)
    // 250 ms of silence, then BIND, CHALLENGE, ANSWER and data: two ways, and one to the other.
    #expect(first - start < .milliseconds(250 + 20 + 20 + 15))
    #expect(world.one.received.last == [4])
    // The other node heard nothing either, and asked for itself.
    #expect((1...2).contains(world.desk.totals.bindings))
  }

  @Test("an ANSWER that is lost costs a fifth of a second, however long the silence was")
  func lostAnswer() throws {
    let world = try ForwardWorld()
    world.one.send([1])
    // By now the node asks every 12 s or so.
    world.run(.seconds(14))
    var isCutting = true
    var cut: Instant?
    world.network.onSend = { datagram in
      guard isCutting, datagram.bytes.count == BindMessage.byteCount, datagram.bytes[1] == 3
      else { return }
      isCutting = false
      cut = world.loop.now
      world.network.configure(.clientHost, .serverHost) { $0.isBlackhole = true }
      world.loop.after(.milliseconds(1)) {
        world.network.configure(.clientHost, .serverHost) { $0.isBlackhole = false }
      }
    }
    _ = world.loop.run(for: .seconds(30)) { cut != nil }
    let start = try #require(cut)
    let before = world.other.received.count
    while world.loop.now - start < .milliseconds(300) {
      world.one.send([2])
      world.run(.milliseconds(10))
    }
    #expect(world.other.received.count - before > 2)
  }

  @Test("a road that the node itself leaves is followed at once")
  func moving() throws {
    let world = try ForwardWorld()
    let second = world.network.bind(.clientHost.with(port: 7_000))
    world.one.endpoint.add(second)
    let old = world.one.leg.road
    let road = NetworkPath(local: second.localAddress, remote: world.relay)
    let start = world.loop.now
    world.one.sockets.move(from: old, to: road)
    world.loop.run(for: .milliseconds(21))
    world.one.send([5])
    world.run()
    let arrival = try #require(world.other.arrivals.first)
    #expect(arrival - start <= .milliseconds(42))
    world.other.send([6])
    world.run()
    #expect(world.one.received == [[6]])
  }

  @Test("a spoofed source binds nothing, not even with a copy of an authentic BIND")
  func spoofedBind() throws {
    let world = try ForwardWorld()
    var bind: [UInt8]?
    world.network.onSend = { datagram in
      if datagram.bytes.count == BindMessage.byteCount, datagram.bytes[1] == 1 {
        bind = bind ?? datagram.bytes
      }
    }
    // The node asks because nobody answers; what it said is copied, with another sender.
    world.one.send([1])
    world.run(.milliseconds(290))
    let copy = try #require(bind)
    let path = world.session.legs[0].path
    let before = world.network.sentCount
    for _ in 0..<100 { world.network.inject(copy, from: Self.stranger, to: world.relay) }
    world.loop.run(for: .milliseconds(5))
    // The node's own binding is done by now, so the copies are stale.
    #expect(world.session.legs[0].path == path)
    #expect(world.network.sentCount == before + 100)
  }

  @Test("copies of a BIND that is not answered draw a few challenges, none larger than itself")
  func reflection() throws {
    let world = try ForwardWorld()
    let leg = world.session.legs[0]
    let bind = BindMessage(
      kind: .bind, session: world.session.number, generation: leg.generation + 1
    ).encoded(key: leg.key)
    var largest = 0
    var count = 0
    world.network.onSend = { datagram in
      guard datagram.to == Self.stranger else { return }
      largest = max(largest, datagram.bytes.count)
      count += 1
    }
    for _ in 0..<1_000 { world.network.inject(bind, from: Self.stranger, to: world.relay) }
    // And an answer with a cookie that was made for somebody else.
    let cookie = [UInt8](repeating: 7, count: BindMessage.cookieCount)
    let answer = BindMessage(
      kind: .answer, session: world.session.number, generation: leg.generation + 1, cookie: cookie
    ).encoded(key: leg.key)
    world.network.inject(answer, from: Self.stranger, to: world.relay)
    world.run()
    #expect(count > 0 && count <= 50 && largest == BindMessage.byteCount)
    #expect(world.session.legs[0].path.remote == world.one.socket.localAddress)
    #expect(world.desk.totals.bindings == 0)
  }

  @Test("a session that sends too much loses the excess and is told once a second")
  func budget() throws {
    var limits = ForwardingLimits()
    limits.bytesPerSecondOfSession = 100_000
    limits.burst = 10_000
    let world = try ForwardWorld(limits: limits)
    for _ in 0..<300 {
      world.one.send([UInt8](repeating: 0x40, count: 10_000), segmentSize: 1_000)
      world.run(.milliseconds(10))
    }
    world.run()
    let received = world.other.received.reduce(0) { $0 + $1.count }
    #expect((300_000...325_000).contains(received))
    #expect(world.throttled.count == 3 && world.throttled.allSatisfy { $0.leg == 0 })
    #expect(world.desk.totals.datagramsThrottled > 2_000)
  }

  @Test("legs that nobody uses go after 60 s, silent ones after 300 s, and used ones never")
  func leases() throws {
    let unused = try ForwardWorld()
    unused.one.send([1])
    unused.run(.seconds(75))
    #expect(unused.expired == [unused.session.number])
    #expect(unused.desk.totals.sessionsOpen == 0)
    let used = try ForwardWorld()
    for _ in 0..<20 {
      used.one.send([1])
      used.other.send([1])
      used.run(.seconds(60))
    }
    #expect(used.expired.isEmpty)
    used.run(.seconds(320))
    #expect(used.expired == [used.session.number])
  }

  @Test("sessions are limited in all, for each identity and for each address")
  func sessionLimits() throws {
    var limits = ForwardingLimits()
    limits.sessionsMax = 4
    limits.sessionsPerIdentityMax = 2
    limits.sessionsPerAddressMax = 3
    let world = try ForwardWorld(limits: limits)
    func party(_ identity: UInt8, _ port: UInt16, address: UInt64) -> ForwardingDesk.Party {
      ForwardingDesk.Party(
        identity: Identity.fixture(identity).publicKey,
        path: NetworkPath(local: world.relay, remote: Self.stranger.with(port: port)),
        address: address)
    }
    func open(_ one: ForwardingDesk.Party, _ other: ForwardingDesk.Party) -> RelayRefusal? {
      do throws(RelayRefusal) {
        _ = try world.desk.open(between: one, and: other, payer: nil)
        return nil
      } catch {
        return error
      }
    }
    #expect(open(party(3, 1, address: 1), party(4, 1, address: 2)) == .samePath)
    #expect(open(party(1, 1, address: 1), party(4, 2, address: 2)) == nil)
    #expect(open(party(1, 3, address: 1), party(5, 4, address: 3)) == .identityLimit)
    #expect(open(party(6, 3, address: 1), party(7, 4, address: 1)) == nil)
    #expect(open(party(8, 3, address: 1), party(9, 4, address: 3)) == .addressLimit)
    #expect(open(party(8, 3, address: 4), party(9, 4, address: 3)) == nil)
    #expect(open(party(8, 5, address: 5), party(9, 6, address: 6)) == .full)
    // What is closed makes room.
    world.desk.close(world.session.number)
    #expect(open(party(1, 5, address: 5), party(9, 6, address: 6)) == nil)
  }

  @Test("a leg of which the path is a byte stream's label is one like any other")
  func mixedCarriers() throws {
    let world = try ForwardWorld()
    let label = PathLabel.carrier(99, kind: .relay)
    var sent: [[UInt8]] = []
    let stub = StubSocket(localAddress: label.local) { sent.append(Array($0.bytes)) }
    world.endpoint.add(stub)
    let party = ForwardingDesk.Party(
      identity: Identity.fixture(3).publicKey, path: label, address: 9)
    let session = try world.desk.open(
      between: party, and: ForwardWorld.party(1, world.one, world.relay), payer: nil)
    world.one.take(ForwardWorld.grant(session, 1), relay: world.relay)
    world.one.send([1, 2])
    world.run()
    #expect(sent.map { Array($0.dropFirst(RelayHeader.byteCount)) } == [[1, 2]])
    Self.data(session.number, session.legs[0].generation, count: 3).withUnsafeBytes {
      world.forwarder.receive(
        ReceivedDatagram(bytes: $0, path: label, ecn: .notCapable), now: world.loop.now)
    }
    world.run()
    #expect(world.one.received == [[0x40, 0x40, 0x40]])
  }
}

/// A socket that hands every batch to a test.
final class StubSocket: DatagramSocket {
  let localAddress: SocketAddress
  weak var receiver: (any DatagramReceiver)?
  let isBlocked = false
  private(set) var isClosed = false
  private let onSend: (DatagramBatch) -> Void

  init(localAddress: SocketAddress, onSend: @escaping (DatagramBatch) -> Void) {
    self.localAddress = localAddress
    self.onSend = onSend
  }

  func send(_ batch: DatagramBatch) -> SendResult {
    onSend(batch)
    return .sent
  }

  func sourceAddress(towards remote: SocketAddress) -> SocketAddress { localAddress }

  func close() { isClosed = true }
}
