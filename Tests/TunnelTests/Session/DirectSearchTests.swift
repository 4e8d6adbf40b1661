import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("When a relayed session looks for a direct path over TCP")
struct DirectSearchTests {
  /// The seconds at which it is time, if it is asked every three seconds for so long.
  private func times(_ search: inout DirectSearch, from start: Int, to end: Int) -> [Int] {
    stride(from: start, to: end, by: 3).filter {
      search.isDue(now: SimLoop.start + .seconds($0))
    }
  }

  @Test("at once, after 30 s, then half as often each time, down to every ten minutes")
  func pace() {
    var search = DirectSearch()
    #expect(times(&search, from: 0, to: 3_000) == [0, 30, 90, 210, 450, 930, 1_530, 2_130, 2_730])
  }

  @Test("at once again when the network is another one")
  func reset() {
    var search = DirectSearch()
    _ = times(&search, from: 0, to: 1_000)
    search.reset()
    #expect(times(&search, from: 1_002, to: 1_100) == [1_002, 1_032, 1_092])
  }

  @Test("a network that changes all the time does not make it try all the time")
  func churn() {
    var search = DirectSearch()
    var count = 0
    for tenth in 0..<300 {
      search.reset()
      if search.isDue(now: SimLoop.start + .milliseconds(tenth * 100)) { count += 1 }
    }
    #expect(count == 10)
  }
}
