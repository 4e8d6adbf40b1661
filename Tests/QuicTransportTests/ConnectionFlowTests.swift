import Simulation
import Testing

@testable import QuicTransport

@Suite("ConnectionFlow")
struct ConnectionFlowTests {
  private let start = Instant(nanoseconds: 1)

  private func flow(window: Int, stalled: Int) -> ConnectionFlow {
    var settings = TransportSettings()
    settings.connectionWindowInitial = window
    settings.connectionWindowMax = window
    settings.stalledBytesMax = stalled
    return ConnectionFlow(settings: settings, now: start)
  }

  @Test("consumed bytes are credited once")
  func credit() {
    var flow = flow(window: 1_000, stalled: 0)
    #expect(flow.takeCredit(stalledMax: .max) == 0)
    flow.buffer(600)
    #expect(flow.takeCredit(stalledMax: .max) == 0)
    flow.consume(600, roundTrip: .zero, now: start)
    #expect(flow.takeCredit(stalledMax: .max) == 600)
    #expect(flow.takeCredit(stalledMax: .max) == 0)
  }

  @Test("held bytes are lent up to the allowance, and not credited again when consumed")
  func allowance() {
    var flow = flow(window: 1_000, stalled: 300)
    flow.buffer(500)
    #expect(flow.takeCredit(stalledMax: .max) == 300)
    flow.consume(500, roundTrip: .zero, now: start)
    #expect(flow.takeCredit(stalledMax: .max) == 200)
  }

  @Test("what all connections may hold together bounds the allowance of each; a window is left")
  func together() {
    var flow = flow(window: 1_000, stalled: 300)
    flow.buffer(500)
    #expect(flow.takeCredit(stalledMax: -5) == 0)
    #expect(flow.takeCredit(stalledMax: 100) == 100)
    #expect(flow.takeCredit(stalledMax: 100) == 0)
    flow.consume(500, roundTrip: .zero, now: start)
    #expect(flow.takeCredit(stalledMax: 0) == 400)
  }

  @Test("the peer's limit never exceeds consumed + window + allowance", arguments: Seeds.all)
  func bound(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var flow = flow(window: 1_000, stalled: 700)
    var granted = 1_000
    var received = 0
    var consumed = 0
    for _ in 0..<2_000 {
      if random.chance(0.5) {
        // A peer sends no more than it may.
        let count = Int(random.below(UInt64(granted - received + 1)))
        flow.buffer(count)
        received += count
      } else {
        let count = Int(random.below(UInt64(received - consumed + 1)))
        flow.consume(count, roundTrip: .zero, now: start)
        consumed += count
      }
      granted += flow.takeCredit(stalledMax: .max)
      #expect(granted <= consumed + 1_000 + 700)
      #expect(granted >= consumed + 1_000)
      #expect(flow.held == received - consumed && flow.held <= 1_700)
    }
    flow.consume(received - consumed, roundTrip: .zero, now: start)
    granted += flow.takeCredit(stalledMax: .max)
    #expect(granted == received + 1_000)
  }
}
