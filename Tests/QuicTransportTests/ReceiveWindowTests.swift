import Testing

@testable import QuicTransport

@Suite("ReceiveWindow")
struct ReceiveWindowTests {
  private let start = Instant(nanoseconds: 1_000_000_000)

  @Test("it doubles when the consumer takes half of it or more in a round trip")
  func grows() {
    var window = ReceiveWindow(size: 1_000, max: 10_000, now: start)
    #expect(window.consume(400, roundTrip: .milliseconds(100), now: start) == 0)
    let growth = window.consume(
      400, roundTrip: .milliseconds(100), now: start + .milliseconds(100))
    #expect(growth == 1_000 && window.size == 2_000)
  }

  @Test("it stays when the consumer is slower")
  func stays() {
    var window = ReceiveWindow(size: 1_000, max: 10_000, now: start)
    for second in 1...20 {
      let growth = window.consume(
        900, roundTrip: .milliseconds(100), now: start + .seconds(second))
      #expect(growth == 0)
    }
    #expect(window.size == 1_000)
  }

  @Test("it never passes its maximum")
  func maximum() {
    var window = ReceiveWindow(size: 1_000, max: 2_500, now: start)
    for step in 1...10 {
      _ = window.consume(
        100_000, roundTrip: .milliseconds(10), now: start + .milliseconds(10 * step))
    }
    #expect(window.size == 2_500)
  }

  @Test("round trips under two milliseconds count as two")
  func tinyRoundTrip() {
    var window = ReceiveWindow(size: 1_000, max: 10_000, now: start)
    let early = window.consume(
      900, roundTrip: .microseconds(10), now: start + .microseconds(1_999))
    #expect(early == 0)
    let late = window.consume(0, roundTrip: .microseconds(10), now: start + .milliseconds(2))
    #expect(late == 1_000)
  }
}
