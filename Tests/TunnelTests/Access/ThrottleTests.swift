import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Throttle")
struct ThrottleTests {
  private let start = Instant(nanoseconds: 1_000_000_000)
  private let source = SocketAddress.clientHost.with(port: 1)

  @Test("the first failures are answered at once, the next ones wait twice as long each")
  func growth() {
    var throttle = Throttle()
    var delays: [Duration] = []
    for number in 0..<20 {
      // Other ports of the host are the same source.
      let address = source.with(port: UInt16(number))
      delays.append(throttle.delay(afterFailureFrom: address, now: start))
    }
    let free = Throttle.failuresFree
    #expect(delays[..<free].allSatisfy { $0 == .zero })
    #expect(delays[free] == Throttle.delayFirst && delays[free + 1] == Throttle.delayFirst * 2)
    #expect(delays[19] == Throttle.delayMax)
    #expect(throttle.count == 1)
  }

  @Test("another host, and another /64, is another source; one /64 is one")
  func sources() {
    var throttle = Throttle()
    for number in 0..<30 {
      let inside = SocketAddress(high: 0x2001_0db8 << 32, low: UInt64(number), port: 9)
      _ = throttle.delay(afterFailureFrom: inside, now: start)
    }
    #expect(throttle.count == 1)
    let outside = SocketAddress(high: 0x2001_0db8 << 32 | 1, low: 1, port: 9)
    let outsideDelay = throttle.delay(afterFailureFrom: outside, now: start)
    #expect(outsideDelay == .zero)
    let otherDelay = throttle.delay(afterFailureFrom: .otherHost, now: start)
    #expect(otherDelay == .zero)
  }

  @Test("a source that was quiet for long enough begins anew")
  func memory() {
    var throttle = Throttle()
    for _ in 0..<10 { _ = throttle.delay(afterFailureFrom: source, now: start) }
    let almost = start + (Throttle.memory - .nanoseconds(1))
    let delayBefore = throttle.delay(afterFailureFrom: source, now: almost)
    #expect(delayBefore > .zero)
    let delayAfter = throttle.delay(afterFailureFrom: source, now: almost + Throttle.memory)
    #expect(delayAfter == .zero)
  }

  @Test("it remembers so many sources at most, and forgets the one that was quiet for longest")
  func bounded() {
    var throttle = Throttle()
    for _ in 0..<10 { _ = throttle.delay(afterFailureFrom: source, now: start) }
    for number in 0..<(Throttle.sourcesMax * 2) {
      let other = SocketAddress(ipv4: 0x0a00_0000 + UInt32(number), port: 1)
      let now = start + .milliseconds(number + 1)
      _ = throttle.delay(afterFailureFrom: other, now: now)
      if number == 500 { _ = throttle.delay(afterFailureFrom: source, now: now) }
    }
    #expect(throttle.count == Throttle.sourcesMax)
    // It was heard of again, but long ago by now.
    let end = start + .seconds(4)
    let lateDelay = throttle.delay(afterFailureFrom: source, now: end)
    #expect(lateDelay == .zero)
    #expect(throttle.count == Throttle.sourcesMax)
  }

  @Test("each source is told of once in an interval")
  func telling() {
    var throttle = Throttle()
    _ = throttle.delay(afterFailureFrom: source, now: start)
    let first = throttle.isWorthTelling(of: source, now: start)
    #expect(first)
    let soonAfter = throttle.isWorthTelling(of: source.with(port: 7), now: start + .seconds(9))
    #expect(!soonAfter)
    _ = throttle.delay(afterFailureFrom: .otherHost, now: start)
    let ofAnother = throttle.isWorthTelling(of: .otherHost, now: start)
    #expect(ofAnother)
    let later = throttle.isWorthTelling(of: source, now: start + Throttle.tellingInterval)
    #expect(later)
  }
}
