import Testing

@testable import Tunnel

@Suite("Numbers of path messages")
struct NumbersSeenTests {
  @Test("each is taken once, in any order, as long as it is not too old")
  func window() {
    var seen = NumbersSeen()
    #expect([1, 3, 2].allSatisfy { seen.accept($0) })
    #expect([1, 2, 3].allSatisfy { !seen.accept($0) })
    let far = seen.accept(1_000)
    #expect(far && !seen.accept(936) && !seen.accept(1_000) && !seen.accept(3))
    let near = seen.accept(937)
    #expect(near && !seen.accept(937))
    let last = seen.accept(.max)
    #expect(last && !seen.accept(.max) && !seen.accept(1_001))
  }
}
