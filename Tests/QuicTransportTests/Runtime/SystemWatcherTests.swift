import Testing

@testable import QuicTransport

@Suite("System watcher")
struct SystemWatcherTests {
  @Test("time that passed in sleep is a wake; a clock that somebody set is none")
  func wake() throws {
    let loop = try EpollLoop()
    var changes: [SystemChange] = []
    let watcher = try SystemWatcher(loop: loop) { changes.append($0) }
    defer { watcher.close() }
    watcher.noteClockChange(asleep: .seconds(1_000_000))
    #expect(changes == [.wake])
    watcher.noteClockChange(asleep: .seconds(1_000_000) + .milliseconds(3))
    #expect(changes == [.wake])
    watcher.noteClockChange(asleep: .seconds(1_000_060))
    #expect(changes == [.wake, .wake])
  }
}
