import QuicTransport
import Testing

@testable import Tunnel

@Suite("The probes of a path")
struct ProbeLogTests {
  private static func at(_ milliseconds: UInt64) -> Instant {
    Instant(nanoseconds: 1_000_000 * milliseconds)
  }

  @Test("an answer that takes longer than the next probe still counts")
  func slowAnswer() {
    var log = ProbeLog()
    log.noteSent(1, isLarge: true, now: Self.at(0))
    log.noteSent(2, isLarge: true, now: Self.at(100))
    #expect(log.noteAnswer(1, now: Self.at(600)) == .milliseconds(600))
    #expect(log.noteAnswer(1, now: Self.at(601)) == nil)
    #expect(log.noteAnswer(2, now: Self.at(700)) == .milliseconds(600))
    #expect(log.isEmpty)
  }

  @Test("a small probe's answer says nothing about large ones")
  func smallAndLarge() {
    var log = ProbeLog()
    for number in 1...6 {
      log.noteSent(UInt64(number), isLarge: number % 2 == 0, now: Self.at(UInt64(number)))
    }
    #expect(log.noteAnswer(5, now: Self.at(10)) == .milliseconds(5))
    #expect(log.smallAnswered == Self.at(10))
    #expect(log.overdue(patience: .milliseconds(5), now: Self.at(10))?.count == 2)
    #expect(log.overdue(patience: .milliseconds(5), now: Self.at(10))?.since == Self.at(2))
    #expect(log.noteAnswer(6, now: Self.at(20)) == .milliseconds(14))
    #expect(log.isEmpty)
    #expect(log.smallAnswered == Self.at(10))
  }

  @Test("it forgets the oldest of too many")
  func bounded() {
    var log = ProbeLog()
    for number in 0..<1_000 { log.noteSent(UInt64(number), isLarge: true, now: Self.at(0)) }
    #expect(log.overdue(patience: .zero, now: Self.at(0))?.count == 64)
    #expect(log.noteAnswer(0, now: Self.at(1)) == nil)
    #expect(log.noteAnswer(999, now: Self.at(1)) != nil)
  }
}
