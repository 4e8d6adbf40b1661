import QuicTransport
import Testing

@testable import HolePunch

@Suite("Netpunch's peer")
struct NetpunchPeerTests {
  private var bench = NetpunchBench(
    NetpunchPeer(
      slot: Netpunch.b, control: Netpunch.control, signer: Netpunch.signer,
      now: NetpunchBench<NetpunchPeer>.start))
  private static let info = NetpunchMessage.info(Netpunch.a, Netpunch.alice)

  /// Brings the peer to where it pings its partner.
  private mutating func learn() {
    bench.hear(Self.info, from: Netpunch.control)
    bench.clear()
  }

  private var isOpen: Bool { bench.notes.contains(.open(Netpunch.alice)) }

  // MARK: Transitions

  @Test("asks five times 100 ms apart, then every 900 ms, and says once that it waits")
  mutating func asking() {
    bench.wait(.milliseconds(2_500))
    let times = [0, 100, 200, 300, 400, 1_300, 2_200].map { Duration.milliseconds($0) }
    #expect(bench.sent.map(\.after) == times)
    #expect(
      bench.sent.allSatisfy { $0.message == .register(Netpunch.b) && $0.to == Netpunch.control })
    #expect(bench.notes.isEmpty)
    bench.wait(.seconds(60))
    #expect(bench.notes == [.stillWaiting])
    #expect(bench.sent.count == 5 + 69)
  }

  @Test("pings at once when it hears of its partner: ten times quickly, then every 900 ms")
  mutating func pinging() {
    bench.wait(.seconds(10))
    bench.clear()
    bench.hear(Self.info, from: Netpunch.control)
    #expect(bench.sent(to: Netpunch.alice) == [.ping])
    bench.wait(.milliseconds(950))
    #expect(bench.sent(to: Netpunch.alice).count == 10)
    // The control node repeats itself with every registration; that is no news.
    for _ in 0..<5 {
      bench.wait(.seconds(1))
      bench.hear(Self.info, from: Netpunch.control)
    }
    #expect(bench.sent(to: Netpunch.alice).count == 15)
  }

  @Test("goes after a partner that has moved")
  mutating func moved() {
    learn()
    bench.wait(.seconds(5))
    bench.clear()
    let moved = Netpunch.alice.with(port: 5_001)
    bench.hear(.info(Netpunch.a, moved), from: Netpunch.control)
    bench.wait(.milliseconds(450))
    #expect(bench.sent(to: moved).count == 5)
    #expect(bench.sent(to: Netpunch.alice).isEmpty)
  }

  @Test("answers x with y at once and every 100 ms; without an answer it pings again")
  mutating func ponging() {
    learn()
    bench.hear(.ping, from: Netpunch.alice)
    #expect(bench.sent(to: Netpunch.alice) == [.pong])
    bench.wait(.milliseconds(950))
    #expect(
      bench.sent(to: Netpunch.alice) == [NetpunchMessage](repeating: .pong, count: 10))
    bench.wait(.milliseconds(100))
    #expect(bench.sent(to: Netpunch.alice).last == .ping)
  }

  @Test("answers y with five z, 20 ms apart, and is open")
  mutating func closing() {
    learn()
    bench.hear(.pong, from: Netpunch.alice)
    bench.wait(.milliseconds(99))
    #expect(bench.sent(to: Netpunch.alice) == [NetpunchMessage](repeating: .close, count: 5))
    #expect(!isOpen)
    bench.wait(.milliseconds(1))
    #expect(isOpen)
    bench.clear()
    bench.wait(.seconds(60))
    #expect(bench.sent.isEmpty, "an open peer says no more")
  }

  @Test("z after x opens, when the rest of the z have had time to arrive")
  mutating func settling() {
    learn()
    bench.hear(.ping, from: Netpunch.alice)
    bench.hear(.close, from: Netpunch.alice)
    bench.clear()
    bench.wait(.milliseconds(99))
    bench.hear(.close, from: Netpunch.alice)
    #expect(!isOpen)
    bench.wait(.milliseconds(1))
    #expect(isOpen)
    #expect(bench.sent(to: Netpunch.alice).isEmpty)
  }

  @Test("follows a partner whose NAT uses another port than towards the control node")
  mutating func symmetricPartner() {
    learn()
    let actual = Netpunch.alice.with(port: 40_001)
    bench.hear(.ping, from: actual)
    #expect(bench.sent(to: actual) == [.pong])
    bench.hear(.close, from: actual)
    bench.wait(.milliseconds(100))
    #expect(bench.notes.contains(.open(actual)))
  }

  @Test("believes an address other than the told one only where one of the two is private")
  mutating func believable() throws {
    let inside = SocketAddress(ipv4: 0x0a00_0005, port: 5_000)
    learn()
    bench.hear(.ping, from: inside)
    #expect(bench.sent(to: inside) == [.pong])
    bench.hear(.info(Netpunch.a, inside), from: Netpunch.control)
    bench.wait(.seconds(3))
    bench.clear()
    bench.hear(.ping, from: Netpunch.alice)
    #expect(bench.sent(to: Netpunch.alice) == [.pong])
  }

  // MARK: What netpunch gets wrong

  @Test("an early z, or one from elsewhere, opens nothing and crashes nothing")
  mutating func earlyClose() {
    bench.hear(.close, from: Netpunch.alice)
    bench.hear(.pong, from: Netpunch.alice)
    learn()
    bench.hear(.close, from: Netpunch.alice)
    bench.hear(.ping, from: Netpunch.alice)
    bench.hear(.close, from: Netpunch.stranger)
    bench.hear(.close, from: Netpunch.alice.with(port: 1))
    bench.wait(.seconds(5))
    #expect(
      !bench.notes.contains { note in if case .open = note { true } else { false } })
  }

  @Test("no datagram of a stranger draws a packet or moves a timer")
  mutating func reflector() throws {
    let ping = try #require(Netpunch.signer.seal(NetpunchMessage.ping.payload))
    let twin = bench
    for phase in 0..<2 {
      var quiet = phase == 0 ? twin : bench
      bench = quiet
      for round in 0..<10_000 {
        let bytes = round.isMultiple(of: 2) ? ping : [UInt8](repeating: 0x78, count: round % 100)
        bench.hear(bytes, from: Netpunch.stranger)
        bench.hear(.info(Netpunch.a, Netpunch.stranger), from: Netpunch.stranger)
        bench.wait(.microseconds(300))
      }
      quiet.wait(.seconds(3))
      #expect(bench.sent == quiet.sent, "phase \(phase)")
      bench.hear(Self.info, from: Netpunch.control)
    }
  }

  @Test("copies of x from two ports in turn draw a hundred packets a second at most")
  mutating func flipping() {
    learn()
    let other = Netpunch.alice.with(port: 1)
    for round in 0..<10_000 {
      bench.hear(.ping, from: round.isMultiple(of: 2) ? Netpunch.alice : other)
      bench.wait(.microseconds(100))
    }
    #expect(bench.sent.count <= 100)
    #expect(bench.sent.count > 40, "and does not starve")
  }

  @Test("an address that is no single machine's is not taken")
  mutating func impossibleAddresses() {
    for text in [
      "224.0.0.1:5", "255.255.255.255:5", "0.0.0.0:5", "192.0.2.1:0", "[ff02::1]:5", "[::]:5",
    ] {
      let address = SocketAddress(hostAndPort: text) ?? Netpunch.stranger
      bench.hear(.info(Netpunch.a, address), from: Netpunch.control)
    }
    bench.hear(.info(Netpunch.b, Netpunch.alice), from: Netpunch.control)
    bench.wait(.seconds(3))
    #expect(bench.sent.allSatisfy { $0.to == Netpunch.control })
  }
}
