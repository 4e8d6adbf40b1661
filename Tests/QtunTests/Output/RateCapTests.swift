import Testing

@testable import qtun

@Suite("RateCap")
struct RateCapTests {
  private let burst = LogLevel.info.burstMax

  @Test("a burst passes, more is held back, and the next window says how much")
  func cap() {
    var cap = RateCap()
    for _ in 0..<burst {
      #expect(cap.admit("m", level: .info, now: .seconds(1)) == .pass(suppressed: 0))
    }
    for _ in 0..<7 { #expect(cap.admit("m", level: .info, now: .seconds(2)) == .holdBack) }
    #expect(cap.admit("other", level: .info, now: .seconds(2)) == .pass(suppressed: 0))
    let later = Duration.seconds(1) + RateCap.window
    #expect(cap.admit("m", level: .info, now: later) == .pass(suppressed: 7))
    #expect(cap.admit("m", level: .info, now: later) == .pass(suppressed: 0))
  }

  @Test("what was held back at the end is told once")
  func unreported() {
    var cap = RateCap()
    for message in ["b", "a", "quiet"] {
      let count = message == "quiet" ? burst : burst + 3
      for _ in 0..<count { _ = cap.admit(message, level: .info, now: .zero) }
    }
    let unreported = cap.takeUnreported()
    #expect(unreported.map(\.message) == ["a", "b"])
    #expect(unreported.map(\.suppressed) == [3, 3])
    #expect(cap.takeUnreported().isEmpty)
  }

  @Test("more messages than are remembered push out the oldest")
  func bounded() {
    var cap = RateCap()
    for _ in 0...burst { _ = cap.admit("oldest", level: .info, now: .zero) }
    for number in 1...RateCap.messagesMax {
      _ = cap.admit("m\(number)", level: .info, now: .milliseconds(number))
    }
    #expect(cap.admit("oldest", level: .info, now: .seconds(1)) == .pass(suppressed: 0))
  }

  @Test("levels that users ask for have more room")
  func levels() {
    #expect(LogLevel.info.burstMax < LogLevel.debug.burstMax)
    #expect(LogLevel.debug.burstMax < LogLevel.trace.burstMax)
  }
}
