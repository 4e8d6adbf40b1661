import Testing

@testable import QuicTransport

@Suite("Name look-ups", .timeLimit(.minutes(1)))
struct NameLookupsTests {
  @Test("names are looked up side by side, each answered once on the loop")
  func answers() throws {
    let loop = try EpollLoop()
    let lookups = NameLookups(loop: loop)
    var found = 0
    var missing = 0
    let count = 100
    for number in 0..<count {
      // No resolver takes a label of a hundred letters, so that nobody is asked.
      let host = number.isMultiple(of: 2) ? "localhost" : String(repeating: "x", count: 100)
      lookups.start(host, count: 8) { result in
        #expect(loop.isInLoop)
        switch result {
        case .success(let addresses):
          #expect(addresses.map(\.description) == ["127.0.0.1:0", "[::1]:0"])
          found += 1
        case .failure(let error):
          #expect(error.host == host)
          missing += 1
        }
        if found + missing == count { loop.stop() }
      }
    }
    loop.run()
    #expect(found == 50 && missing == 50)
  }

  @Test("more look-ups than may wait fail at once, and the others are answered")
  func bounded() throws {
    let loop = try EpollLoop()
    let lookups = NameLookups(loop: loop)
    var answered = 0
    var refused = 0
    // 16 have threads, 256 wait.
    for _ in 0..<300 {
      lookups.start("localhost", count: 8) { result in
        if case .success = result { answered += 1 } else { refused += 1 }
        if answered == 272 { loop.stop() }
      }
    }
    #expect(refused == 28)
    loop.run()
    #expect(refused == 28)
  }
}
