import QuicTransport
import Testing

@testable import Tunnel

@Suite("What is known about a path")
struct PathStateTests {
  private let start = Instant(nanoseconds: 1_000_000_000)

  private func makeState() -> PathState {
    PathState(
      number: 0, path: NetworkPath(local: .any, remote: .loopbackIPv4), kind: .udp, now: start)
  }

  @Test("a path that fails again and again rests longer each time, five minutes at most")
  func shunning() {
    var state = makeState()
    var now = start
    for seconds in [5, 10, 20, 40, 80, 160, 320, 320, 320] {
      state.shun(now: now)
      #expect(state.isShunned(now: now + .milliseconds(seconds * 1_000 - 1)))
      now = now + .seconds(seconds)
      #expect(!state.isShunned(now: now))
    }
  }

  @Test("a keep-alive and its answer make no path busy; data does")
  func keepAlive() {
    var state = makeState()
    var now = start
    for _ in 0..<20 {
      state.noteHeard(now: now, isData: true)
      state.noteSent(40, now: now, isData: true)
      #expect(!state.isBusy(now: now))
      now = now + .seconds(15)
    }
    // ngtcp2 adds a PING to some acknowledgements, which is acknowledged.
    state.noteHeard(now: now, isData: true)
    state.noteSent(44, now: now, isData: true)
    state.noteHeard(now: now + .milliseconds(50), isData: true)
    #expect(!state.isBusy(now: now + .milliseconds(50)))
    // Somebody types.
    now = now + .seconds(15)
    for _ in 0..<2 {
      state.noteHeard(now: now, isData: true)
      state.noteSent(60, now: now, isData: true)
    }
    #expect(state.isBusy(now: now + .seconds(1)) && !state.isBusy(now: now + .seconds(3)))
    state.noteSent(1_200, now: now + .seconds(10), isData: true)
    #expect(state.isBusy(now: now + .seconds(11)))
  }

  @Test("silence counts from the first packet that was not answered")
  func silence() {
    var state = makeState()
    state.noteSent(10, now: start, isData: true)
    state.noteSent(10, now: start + .seconds(1), isData: true)
    #expect(state.unansweredSince == start && state.unansweredDataSince == start)
    state.noteHeard(now: start + .seconds(2), isData: false)
    #expect(state.unansweredSince == nil && state.unansweredDataSince == start)
    state.noteHeard(now: start + .seconds(2), isData: true)
    #expect(state.unansweredDataSince == nil)
  }

  @Test("the round trip is smoothed as RFC 6298 says")
  func roundTrip() {
    var estimate = RoundTripEstimate()
    estimate.add(.milliseconds(80))
    #expect(estimate.smoothed == .milliseconds(80) && estimate.variation == .milliseconds(40))
    estimate.add(.milliseconds(160))
    #expect(estimate.smoothed == .milliseconds(90) && estimate.variation == .milliseconds(50))
  }
}
