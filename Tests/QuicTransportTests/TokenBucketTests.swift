import Testing

@testable import QuicTransport

@Suite("TokenBucket")
struct TokenBucketTests {
  private let start = Instant(nanoseconds: 1_000_000_000)

  @Test("it allows a burst, then its rate")
  func rate() {
    var bucket = TokenBucket(rate: 10, burst: 3, now: start)
    let burst = (0..<5).map { _ in bucket.take(now: start) }
    #expect(burst == [true, true, true, false, false])
    let later = [99, 101, 101].map { bucket.take(now: start + .milliseconds($0)) }
    #expect(later == [false, true, false])
  }

  @Test("tokens do not pile up beyond the burst")
  func full() {
    var bucket = TokenBucket(rate: 10, burst: 3, now: start)
    let later = start + .seconds(1_000)
    #expect((0..<10).filter { _ in bucket.take(now: later) }.count == 3)
  }

  @Test("a clock that runs backwards neither fills nor empties it")
  func backwards() {
    var bucket = TokenBucket(rate: 10, burst: 1, now: start)
    let times = [
      start, Instant(nanoseconds: 0), start + .milliseconds(50), start + .milliseconds(100),
    ]
    let taken = times.map { bucket.take(now: $0) }
    #expect(taken == [true, false, false, true])
  }
}
