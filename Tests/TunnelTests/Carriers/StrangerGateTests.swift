import QuicTransport
import Testing

@testable import Tunnel

@Suite("Strangers at the TCP port")
struct StrangerGateTests {
  private static let start = Instant(nanoseconds: 1_000_000_000)

  private func expect(
    _ isAdmitted: Bool, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(isAdmitted, sourceLocation: sourceLocation)
  }

  private static func address(_ network: Int, _ host: UInt64) -> SocketAddress {
    SocketAddress(high: 0x2001_0db8_0000_0000 + UInt64(network), low: host, port: 9)
  }

  @Test("one source takes its share and no more, whatever its addresses and ports")
  func perSource() {
    var gate = StrangerGate()
    let admitted = (0..<100).count { gate.enter(Self.address(1, $0 * 77), now: Self.start) }
    #expect(admitted == StrangerGate.perSourceMax)
    expect(gate.enter(Self.address(2, 1), now: Self.start))
    expect(gate.enter(SocketAddress(ipv4: 1, port: 1), now: Self.start))
    gate.leave(Self.address(1, 5))
    expect(gate.enter(Self.address(1, 6), now: Self.start))
  }

  @Test("all sources together have a limit as well")
  func total() {
    var gate = StrangerGate()
    let admitted = (0..<1_000).count { gate.enter(Self.address(Int($0), 1), now: Self.start) }
    #expect(admitted == StrangerGate.strangersMax)
  }

  @Test("a source that comes and goes is limited in rate, and others are not")
  func rate() {
    var gate = StrangerGate()
    var now = Self.start
    var admitted = 0
    for _ in 0..<2_000 {
      if gate.enter(Self.address(1, 1), now: now) {
        admitted += 1
        gate.leave(Self.address(1, 1))
      }
      now = now + .milliseconds(1)
    }
    // A burst, then 20 a second for two seconds.
    #expect((Int(StrangerGate.burst) + 38...Int(StrangerGate.burst) + 41).contains(admitted))
    expect(gate.enter(Self.address(2, 1), now: now))
    expect(gate.enter(Self.address(1, 1), now: now + .seconds(1)))
  }

  @Test("what is remembered of sources is bounded, and forgotten")
  func memory() {
    var gate = StrangerGate()
    var now = Self.start
    var admitted = 0
    for network in 0..<5_000 where gate.enter(Self.address(network, 1), now: now) {
      admitted += 1
      gate.leave(Self.address(network, 1))
    }
    #expect(admitted == 4_096)
    now = now + .seconds(2)
    expect(gate.enter(Self.address(9_999, 1), now: now))
  }
}
