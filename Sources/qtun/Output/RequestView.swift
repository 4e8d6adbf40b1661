internal import QuicTransport
internal import Tunnel

/// The HTTP requests of a share as they pass: a line for each, as far as somebody can read them.
///
/// With --json lines go to standard output, as results do; without it to standard error, beside the log.
/// A reader of standard output that stalls costs lines and not the tunnel. Callable from any isolation;
/// requests come from the loop.
final class RequestView: Sendable {
  private let settings: GlobalSettings
  private let console: Console
  private let clock: LogClock
  /// Takes a line for standard output; false where it would have to wait.
  private let offer: @Sendable (String) -> Bool
  private let state = Lock(State())

  /// The view of a run.
  convenience init(settings: GlobalSettings, console: Console) {
    self.init(settings: settings, console: console, clock: .system) {
      StandardOutput.offerLine($0)
    }
  }

  /// With a clock and an output of the caller's.
  init(
    settings: GlobalSettings, console: Console, clock: LogClock,
    offer: @escaping @Sendable (String) -> Bool
  ) {
    self.settings = settings
    self.console = console
    self.clock = clock
    self.offer = offer
  }

  /// Whether anybody would see anything of it, and so whether requests are worth a look.
  static func isShown(_ settings: GlobalSettings) -> Bool {
    settings.isJSON || !settings.isQuiet
  }

  /// All requests so far.
  var tally: RequestTally { state.withLock { $0.tally } }

  /// Shows a request, or counts it where lines come faster than anybody reads them.
  func note(_ request: RequestReport) {
    let now = clock.monotonic()
    let (isShown, hidden) = state.withLock { state in
      state.tally.note(request)
      if settings.isJSON { return (true, state.takeHidden()) }
      return state.admit(now: now)
    }
    tell(hidden)
    guard isShown else { return }
    if settings.isJSON {
      if !offer(RequestLine.json(request)) { state.withLock { $0.hidden += 1 } }
    } else if settings.logFormat == .json {
      console.printLine(RequestLine.log(request).json(at: clock.wall()))
    } else {
      console.printLine(RequestLine.text(request, terminal: console.terminal))
    }
  }

  /// Says how many were not shown, if it has not been said; called now and then, and at the end.
  func tellHidden() {
    tell(state.withLock { $0.takeHidden() })
  }

  private func tell(_ hidden: UInt64) {
    guard hidden > 0 else { return }
    if settings.isJSON {
      var writer = JSONWriter()
      writer.object { object in
        object.member("event", "requests_hidden")
        object.member("count", hidden)
      }
      if !offer(writer.text) { state.withLock { $0.hidden += hidden } }
    } else if settings.logFormat == .json {
      let fields = [LogField.count(Int64(clamping: hidden))]
      console.printLine(
        LogLine(level: .info, message: "requests not shown", fields: fields).json(at: clock.wall()))
    } else {
      console.printLine("      \(Format.count(hidden, "request")) not shown: too many at once")
    }
  }

  private struct State {
    var tally = RequestTally()
    /// Not shown, and not told of.
    var hidden: UInt64 = 0
    private var windowStart: Duration?
    private var shown = 0

    mutating func takeHidden() -> UInt64 {
      defer { hidden = 0 }
      return hidden
    }

    /// Whether the line is shown, and what is to be told of before it.
    mutating func admit(now: Duration) -> (Bool, UInt64) {
      if windowStart.map({ now - $0 >= RequestView.window }) ?? true {
        windowStart = now
        shown = 1
        return (true, takeHidden())
      }
      guard shown < RequestView.linesMax else {
        hidden += 1
        return (false, 0)
      }
      shown += 1
      return (true, 0)
    }
  }

  private static let window = Duration.seconds(1)
  /// Lines of one second: a page with its pictures. More than these nobody follows.
  private static let linesMax = 50
}
