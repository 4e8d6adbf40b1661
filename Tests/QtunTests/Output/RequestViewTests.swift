import Glibc
import Synchronization
import Testing
import Tunnel

@testable import qtun

@Suite("Request view")
struct RequestViewTests {
  /// A view with a clock of its own, and everything that it printed.
  private struct Scene {
    let pipe: Pipe
    let knobs = Knobs()

    init() throws { pipe = try Pipe() }

    func view(_ settings: GlobalSettings, terminal: Terminal? = nil) -> RequestView {
      let knobs = knobs
      let clock = LogClock(wall: { Timestamp(seconds: 0, nanoseconds: 0) }) {
        knobs.time.withLock { $0 }
      }
      return RequestView(
        settings: settings, console: Console(descriptor: pipe.writeEnd, terminal: terminal),
        clock: clock
      ) { line in
        guard knobs.takes.withLock({ $0 }) else { return false }
        knobs.offered.withLock { $0.append(line) }
        return true
      }
    }
  }

  private final class Knobs: Sendable {
    let time = Mutex(Duration.zero)
    let offered = Mutex<[String]>([])
    let takes = Mutex(true)
  }

  @Test("without a terminal a line is ASCII, and what the client wrote is escaped")
  func plain() throws {
    let scene = try Scene()
    let view = scene.view(GlobalSettings())
    view.note(RequestTallyTests.report(200, .milliseconds(45), path: "/api/users"))
    view.note(RequestTallyTests.report(404, .microseconds(85), path: "/\u{1B}[2J\u{202E}x"))
    view.note(RequestTallyTests.report(nil, .seconds(3), whole: false, service: "web"))
    #expect(
      scene.pipe.readAvailable() == """
          + 200  GET  /api/users  45.0 ms
          ! 404  GET  /\\u{1b}[2J\\u{202e}x  85.0 us
          x ---  GET  /  3.00 s  (web)  broken off

        """)
  }

  @Test("on a terminal a line has the mark and the color of its class")
  func terminal() throws {
    let scene = try Scene()
    let view = scene.view(GlobalSettings(), terminal: Terminal(isColored: true, columns: { 80 }))
    for status in [200, 304, 404, 503] {
      view.note(RequestTallyTests.report(status, .milliseconds(1)))
    }
    let lines = scene.pipe.readAvailable().split(separator: "\n")
    for (line, start) in zip(lines, ["32m✓ 200", "36m✓ 304", "33m⚠ 404", "31m✗ 503"]) {
      #expect(line.contains("\u{1B}[\(start)  GET  /  1.00 ms\u{1B}[0m"))
    }
    #expect(lines.count == 4)
  }

  @Test("lines that come faster than anybody reads are counted, and told of")
  func flood() throws {
    let scene = try Scene()
    let view = scene.view(GlobalSettings())
    for _ in 0..<2_000 { view.note(RequestTallyTests.report(200, .milliseconds(1))) }
    #expect(scene.pipe.readAvailable().split(separator: "\n").count == 50)
    scene.knobs.time.withLock { $0 = .seconds(1) }
    view.note(RequestTallyTests.report(500, .milliseconds(1)))
    let lines = scene.pipe.readAvailable().split(separator: "\n")
    #expect(
      lines.map { $0.trimmingPrefix(while: \.isWhitespace) } == [
        "1950 requests not shown: too many at once", "x 500  GET  /  1.00 ms",
      ])
    view.tellHidden()
    #expect(scene.pipe.readAvailable().isEmpty)
    #expect(view.tally.count == 2_001)
  }

  @Test("with --json every request is an object; what its reader does not take is counted")
  func json() throws {
    let scene = try Scene()
    var settings = GlobalSettings()
    settings.isJSON = true
    let view = scene.view(settings)
    view.note(RequestTallyTests.report(200, .milliseconds(1), path: "/\u{7}"))
    scene.knobs.takes.withLock { $0 = false }
    for _ in 0..<3 { view.note(RequestTallyTests.report(200, .milliseconds(1))) }
    scene.knobs.takes.withLock { $0 = true }
    view.tellHidden()
    #expect(
      scene.knobs.offered.withLock { $0 } == [
        #"{"event":"request","flow":4,"service":"","method":"GET","path":"/\u0007","status":200,"#
          + #""whole":true,"answer_bytes":10,"duration_us":1000}"#,
        #"{"event":"requests_hidden","count":3}"#,
      ])
    #expect(scene.pipe.readAvailable().isEmpty)
  }

  @Test("with --log-format json a request is a line of the log")
  func log() throws {
    let scene = try Scene()
    var settings = GlobalSettings()
    settings.logFormat = .json
    scene.view(settings).note(RequestTallyTests.report(200, .milliseconds(1), path: "/a"))
    let line = scene.pipe.readAvailable()
    #expect(
      line.contains(#""message":"request","fields":{"method":"GET","path":"/a","status":200,"#))
  }

  @Test("a pipe that nobody reads is offered lines without waiting for it")
  func stalled() throws {
    let pipe = try Pipe()
    var taken = 0
    while StandardOutput.offerLine("line", to: pipe.writeEnd) { taken += 1 }
    #expect(taken > 1_000)
    _ = pipe.readAvailable()
    #expect(StandardOutput.offerLine("line", to: pipe.writeEnd))
  }
}
