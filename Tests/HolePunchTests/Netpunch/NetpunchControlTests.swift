import QuicTransport
import Testing

@testable import HolePunch

@Suite("Netpunch's control node")
struct NetpunchControlTests {
  private var bench = NetpunchBench(NetpunchControl(signer: Netpunch.signer))
  private static let infoA = NetpunchMessage.info(Netpunch.a, Netpunch.alice)
  private static let infoB = NetpunchMessage.info(Netpunch.b, Netpunch.bob)

  @Test("the first peer hears nothing; when the second registers, both are told at once")
  mutating func bothAreTold() {
    bench.hear(.register(Netpunch.a), from: Netpunch.alice)
    #expect(bench.sent.isEmpty)
    bench.wait(.seconds(29))
    bench.hear(.register(Netpunch.b), from: Netpunch.bob)
    #expect(bench.sent(to: Netpunch.alice) == [Self.infoB])
    #expect(bench.sent(to: Netpunch.bob) == [Self.infoA])
    #expect(bench.sent.allSatisfy { $0.after == .seconds(29) })
    // Before the other one can ping it.
    #expect(bench.sent.first?.to == Netpunch.alice)
  }

  @Test("five quick questions are answered, then one a second; a partner is told every second")
  mutating func answers() {
    bench.hear(.register(Netpunch.a), from: Netpunch.alice)
    bench.hear(.register(Netpunch.b), from: Netpunch.bob)
    bench.clear()
    for _ in 0..<20 {
      bench.wait(.milliseconds(100))
      bench.hear(.register(Netpunch.b), from: Netpunch.bob)
    }
    #expect(bench.sent(to: Netpunch.bob).count == 6)
    #expect(bench.sent(to: Netpunch.alice).count == 2)
    for _ in 0..<20 {
      bench.wait(.seconds(1))
      bench.hear(.register(Netpunch.b), from: Netpunch.bob)
    }
    #expect(bench.sent(to: Netpunch.bob).count == 26, "whoever asks once a second is answered")
  }

  @Test("a slot is forgotten after a minute without a registration")
  mutating func lease() {
    bench.hear(.register(Netpunch.a), from: Netpunch.alice)
    bench.wait(.seconds(61))
    bench.hear(.register(Netpunch.b), from: Netpunch.bob)
    #expect(bench.sent.isEmpty)
    bench.wait(.seconds(61))
    #expect(bench.machine.deadline == .distantFuture)
  }

  @Test("a peer that comes back from another address has its letter within 1.2 s, and both hear")
  mutating func restart() {
    let moved = Netpunch.alice.with(port: 5_001)
    bench.hear(.register(Netpunch.b), from: Netpunch.bob)
    bench.hear(.register(Netpunch.a), from: Netpunch.alice)
    bench.clear()
    bench.wait(.milliseconds(300))
    bench.hear(.register(Netpunch.a), from: moved)
    #expect(bench.sent.isEmpty)
    #expect(
      bench.notes == [
        .heard(.register(Netpunch.a), from: moved),
        .contested(Netpunch.a, holder: Netpunch.alice, claimant: moved),
      ])
    bench.wait(.milliseconds(900))
    #expect(bench.sent(to: moved) == [Self.infoB])
    #expect(bench.sent(to: Netpunch.bob) == [.info(Netpunch.a, moved)])
    #expect(bench.sent(to: Netpunch.alice).isEmpty)
  }

  @Test("a letter whose holder is silent for longer is free at once")
  mutating func silentHolder() {
    bench.hear(.register(Netpunch.b), from: Netpunch.bob)
    bench.hear(.register(Netpunch.a), from: Netpunch.alice)
    bench.wait(.seconds(2))
    bench.clear()
    let moved = Netpunch.alice.with(port: 5_001)
    bench.hear(.register(Netpunch.a), from: moved)
    #expect(bench.sent(to: moved) == [Self.infoB])
    #expect(bench.sent(to: Netpunch.bob) == [.info(Netpunch.a, moved)])
  }

  @Test("ten thousand copies of a registration from elsewhere draw no packet and take no letter")
  mutating func replay() {
    bench.hear(.register(Netpunch.b), from: Netpunch.bob)
    bench.hear(.register(Netpunch.a), from: Netpunch.alice)
    bench.clear()
    for round in 0..<10_000 {
      if round.isMultiple(of: 1_000) { bench.hear(.register(Netpunch.a), from: Netpunch.alice) }
      bench.hear(.register(Netpunch.a), from: Netpunch.stranger.with(port: UInt16(1 + round)))
      bench.wait(.microseconds(100))
    }
    #expect(bench.sent(to: Netpunch.stranger).isEmpty)
    // Ten thousandths of the flood are the holder's own questions: five answers at once, one later.
    #expect(bench.sent(to: Netpunch.alice).count == 5)
    #expect(bench.sent.allSatisfy { [Netpunch.alice, Netpunch.bob].contains($0.to) })
  }

  @Test("a copy that is not repeated has lost its claim when the holder goes much later")
  mutating func staleClaim() {
    bench.hear(.register(Netpunch.a), from: Netpunch.alice)
    bench.hear(.register(Netpunch.a), from: Netpunch.stranger)
    for _ in 0..<3 {
      bench.wait(.seconds(1))
      bench.hear(.register(Netpunch.a), from: Netpunch.alice)
    }
    bench.wait(.seconds(5))
    bench.hear(.register(Netpunch.b), from: Netpunch.bob)
    #expect(bench.sent(to: Netpunch.bob) == [Self.infoA])
    #expect(bench.sent(to: Netpunch.stranger).isEmpty)
  }

  @Test("ten thousand copies with the holder's own address draw five answers and then one a second")
  mutating func spoofedHolder() {
    bench.hear(.register(Netpunch.b), from: Netpunch.bob)
    for _ in 0..<10_000 {
      bench.hear(.register(Netpunch.a), from: Netpunch.alice)
      bench.wait(.microseconds(300))
    }
    #expect(bench.sent(to: Netpunch.alice).count <= 5 + 4)
    #expect(bench.sent(to: Netpunch.bob).count <= 1 + 3)
  }

  @Test("garbage, wrong letters and impossible addresses draw nothing but a word every ten seconds")
  mutating func garbage() {
    bench.hear(.register(Netpunch.b), from: Netpunch.bob)
    bench.clear()
    for round in 0..<10_000 {
      bench.hear([UInt8](repeating: 0x61, count: round % 90), from: Netpunch.stranger)
      bench.wait(.milliseconds(1))
    }
    bench.hear(.register(Netpunch.a), from: Netpunch.stranger.with(port: 0))
    bench.hear(.register(Netpunch.a), from: SocketAddress(ipv4: 0xe000_0001, port: 9))
    bench.hear(.info(Netpunch.b, Netpunch.bob), from: Netpunch.stranger)
    #expect(bench.sent.isEmpty)
    let counts = bench.notes.compactMap { note in
      if case .forged(let report) = note { report.count } else { nil }
    }
    #expect(counts == [1])
    bench.wait(.seconds(1))
    bench.hear([1], from: Netpunch.alice)
    #expect(
      bench.notes.last
        == .forged(.init(count: 10_000, source: Netpunch.alice, isOneSource: false)))
  }
}
