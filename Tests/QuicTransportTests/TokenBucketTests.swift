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

  @Test("tokens to come can be taken in advance, as long as they are not too far away")
  func advance() {
    var bucket = TokenBucket(rate: 10, burst: 2, now: start)
    let waits = (0..<6).map { _ in bucket.reserve(within: .milliseconds(300), now: start) }
    #expect(waits[0] == .zero && waits[1] == .zero)
    #expect(waits[2] == .milliseconds(100) && waits[4] == .milliseconds(300) && waits[5] == nil)
    let has = [399, 401].map { bucket.has(now: start + .milliseconds($0)) }
    #expect(has == [false, true])
  }

  @Test("a reserve is left to those who may take it")
  func reserve() {
    var bucket = TokenBucket(rate: 10, burst: 3, now: start)
    let modest = (0..<3).map { _ in bucket.take(leaving: 2, now: start) }
    #expect(modest == [true, false, false])
    let greedy = (0..<3).map { _ in bucket.take(now: start) }
    #expect(greedy == [true, true, false])
    let later = bucket.take(leaving: 2, now: start + .milliseconds(299))
    #expect(!later)
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
