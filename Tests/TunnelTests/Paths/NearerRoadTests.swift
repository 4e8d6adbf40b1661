import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("The nearer of two relays")
struct NearerRoadTests {
  private var nearer = NearerRoad()
  private var now = Instant(nanoseconds: 1_000_000_000)

  /// Measures the other road every five seconds; the measurements that said "move".
  private mutating func measure(
    _ lengths: [Int], against current: Int, path: UInt64 = 1
  ) -> [Int] {
    var moves: [Int] = []
    for (index, length) in lengths.enumerated() {
      let isDue = nearer.note(
        path, length: .milliseconds(length), current: .milliseconds(current), now: now)
      if isDue { moves.append(index) }
      now = now + .seconds(5)
    }
    return moves
  }

  @Test("one that is clearly shorter is taken after ten seconds, and not before")
  mutating func shorter() {
    #expect(measure([40, 40, 40, 40], against: 100) == [2])
  }

  @Test("by less than a fifth, or than ten milliseconds, is as good as the same")
  mutating func margin() {
    #expect(measure([Int](repeating: 81, count: 100), against: 100).isEmpty)
    #expect(measure([Int](repeating: 3, count: 100), against: 12).isEmpty)
    #expect(measure([Int](repeating: 1, count: 3), against: 12) == [2])
  }

  @Test("a single measurement that contradicts begins the ten seconds anew")
  mutating func contradiction() {
    #expect(measure([40, 40, 95, 40, 40], against: 100).isEmpty)
    #expect(measure([40], against: 100) == [0])
  }

  @Test("after a move it rests: a minute, then two, then four, and an hour later a minute again")
  mutating func rests() {
    var times: [Int64] = []
    let start = now
    for _ in 0..<200 where !measure([40], against: 100).isEmpty {
      times.append((now - start).components.seconds - 5)
    }
    #expect(times == [10, 70, 190, 430, 910])
    now = now + .seconds(3_600)
    #expect(measure([40], against: 100) == [0])
    #expect(measure([Int](repeating: 40, count: 13), against: 100) == [11])
  }

  @Test("of two that are shorter the first one's turn is not taken by the other")
  mutating func two() {
    for _ in 0..<2 {
      #expect(measure([40], against: 100, path: 1).isEmpty)
      #expect(measure([30], against: 100, path: 2).isEmpty)
    }
    #expect(measure([40], against: 100, path: 1) == [0])
  }

  @Test("the shortest of the last five measurements counts")
  func recent() {
    var recent = RecentRoundTrips()
    #expect(recent.least == nil && recent.count == 0)
    for (sample, least) in [
      (50, 50), (40, 40), (90, 40), (80, 40), (70, 40), (60, 40), (80, 60),
    ] {
      recent.add(.milliseconds(sample))
      #expect(recent.least == .milliseconds(least))
    }
    #expect(recent.count == 5)
  }
}
