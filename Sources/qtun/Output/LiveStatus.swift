/// The line at the bottom of a terminal that says how the tunnel is doing.
///
/// Shows nothing where there is no terminal, and nothing in quiet and JSON runs; log lines tell
/// the same there. The caller redraws it from a timer, two to four times a second.
struct LiveStatus: Sendable {
  private let console: Console
  private let isEnabled: Bool

  /// Creates the line for a run with these settings.
  init(console: Console, settings: GlobalSettings) {
    self.console = console
    isEnabled =
      console.terminal != nil && !settings.isQuiet && !settings.isJSON
      && settings.logFormat == .text
  }

  /// Whether anything would be shown, and so whether the timer is worth starting.
  var isShown: Bool { isEnabled }

  /// Redraws the line in place.
  func show(_ status: TunnelStatus) {
    if isEnabled { console.setStatus(status.text) }
  }

  /// Takes the line away; for the end of a run, before its summary.
  func clear() {
    if isEnabled { console.setStatus("") }
  }
}

/// What the status line is made of.
struct TunnelStatus: Equatable, Sendable {
  /// What the tunnel is doing.
  let phase: Phase
  /// How it is connected, for example `direct 192.0.2.7:40001`.
  let path: String?
  /// The smoothed round-trip time.
  let rtt: Duration?
  /// Flows that are open now.
  let flows: UInt64
  /// Bytes sent since the last status.
  let bytesSent: UInt64
  /// Bytes received since the last status.
  let bytesReceived: UInt64
  /// The time since the last status.
  let interval: Duration
  /// HTTP requests so far.
  var requests: UInt64 = 0
  /// Targets that fail their health check.
  var targetsDown = 0

  /// The line, most important facts first, since a narrow terminal cuts its end.
  var text: String {
    var parts = [phase.rawValue]
    if let path { parts.append(path) }
    if let rtt { parts.append("rtt \(Format.roundTripTime(rtt))") }
    if phase == .connected || phase == .serving || phase == .draining {
      parts.append(Format.count(flows, "flow"))
      parts.append("up \(Format.rate(bytes: bytesSent, in: interval))")
      parts.append("down \(Format.rate(bytes: bytesReceived, in: interval))")
    }
    if targetsDown > 0 { parts.append("\(Format.count(UInt64(targetsDown), "target")) down") }
    if requests > 0 { parts.append(Format.count(requests, "request")) }
    if phase == .draining { parts.append("Ctrl-C again ends at once") }
    return parts.joined(separator: "  ")
  }

  /// The stages that a user can tell apart.
  enum Phase: String, Sendable {
    /// A share without a peer.
    case waiting
    /// A peer that is being reached.
    case connecting
    /// No session was needed yet: visitors of public addresses come through the relay.
    case serving
    /// A session is up.
    case connected
    /// No new flows; open ones are finished.
    case draining
  }
}
