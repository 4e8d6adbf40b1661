import QuicTransport
import Testing

@Suite("Instant")
struct InstantTests {
  @Test("adding a duration saturates instead of wrapping")
  func saturates() {
    #expect(Instant.distantFuture + .seconds(1) == .distantFuture)
    #expect(Instant(nanoseconds: .max - 5) + .nanoseconds(6) == .distantFuture)
    #expect(Instant(nanoseconds: 5) + .nanoseconds(6) == Instant(nanoseconds: 11))
  }

  @Test("a negative duration counts as zero")
  func negativeDuration() {
    #expect(Instant(nanoseconds: 5) + .nanoseconds(-3) == Instant(nanoseconds: 5))
    #expect(Duration.seconds(-2).wholeNanoseconds == 0)
    #expect(Duration.nanoseconds(-1).wholeNanoseconds == 0)
  }

  @Test("the difference of two instants is never negative, and clamps to what Duration holds")
  func difference() {
    let early = Instant(nanoseconds: 10)
    let late = Instant(nanoseconds: 25)
    #expect(late - early == .nanoseconds(15))
    #expect(early - late == .zero)
    #expect(Instant.distantFuture - Instant(nanoseconds: 0) == .nanoseconds(Int64.max))
  }

  @Test("durations too long for 64 bits of nanoseconds clamp")
  func hugeDurations() {
    #expect(Duration.seconds(Int64.max).wholeNanoseconds == .max)
    #expect(Duration.seconds(18_446_744_073).wholeNanoseconds == 18_446_744_073_000_000_000)
    #expect(
      (Duration.seconds(18_446_744_073) + .milliseconds(900)).wholeNanoseconds == .max)
  }

  @Test("seconds keep the fraction")
  func seconds() {
    #expect(Duration.milliseconds(1_250).seconds == 1.25)
  }
}
