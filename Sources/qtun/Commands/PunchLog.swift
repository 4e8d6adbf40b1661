internal import Glibc
internal import HolePunch
internal import QuicTransport

/// The log of `qtun punch` in netpunch's form:
/// `2006/01/02 15:04:05.000000 [pid] [a] [info] read: "x" <- 192.0.2.1:5`
final class PunchLog {
  private let console: Console
  private let role: String
  private let isSilent: Bool
  /// Set to log datagrams whole.
  private let raw: NetpunchSigner?
  private var cap = RateCap()

  /// A log for a peer's letter or the control node.
  init(console: Console, role: String, isSilent: Bool, raw: NetpunchSigner?) {
    self.console = console
    self.role = role
    self.isSilent = isSilent
    self.raw = raw
  }

  /// One line that a user wants to know.
  func info(_ text: String) {
    line("info", text)
  }

  /// Something that is not as it should be.
  func warning(_ text: String) {
    line("warning", text)
  }

  /// What a node did or saw.
  func note(_ output: NetpunchOutput, now: Instant) {
    switch output {
    case .send(_, let message, let address):
      packet("write: ", "\(shown(message)) -> \(address)", now)
    case .heard(let message, let source):
      packet("read: ", "\(shown(message)) <- \(source)", now)
    case .forged(let report):
      let others = report.isOneSource ? "" : " and others"
      warning(
        "\(Format.count(report.count, "packet")) with a bad signature from \(report.source)"
          + "\(others): do the secrets differ?")
    case .contested(let slot, let holder, let claimant):
      packet(
        "", "slot \(slot) is held by \(holder) and wanted by \(claimant): two peers of one letter?",
        now, level: .warning)
    case .unsealable(let message):
      packet("", "this secret cannot sign \(shown(message)): choose another", now, level: .warning)
    case .stillWaiting:
      info(
        "no partner yet: it has not started, or the control node cannot be reached or has another "
          + "secret")
    case .open: break
    }
  }

  private func shown(_ message: NetpunchMessage) -> String {
    // Signing is deterministic, so this is what stood on the wire.
    let bytes = raw.flatMap { $0.seal(message.payload) } ?? message.payload
    return TerminalText.quoted(String(decoding: bytes, as: UTF8.self))
  }

  /// A line that strangers can cause: at most fifty a second of a kind.
  private func packet(
    _ kind: String, _ text: @autoclosure () -> String, _ now: Instant, level: LogLevel = .debug
  ) {
    guard !isSilent else { return }
    let verdict = cap.admit(
      "\(kind)\(level.name)", level: level, now: .nanoseconds(Int64(clamping: now.nanoseconds)))
    guard case .pass(let suppressed) = verdict else { return }
    if suppressed > 0 { warning("\(suppressed) lines left out") }
    line(level == .warning ? "warning" : "info", kind + text())
  }

  private func line(_ level: String, _ text: String) {
    guard !isSilent else { return }
    console.printLine(
      "\(Self.timestamp()) [\(getpid())] [\(role)] [\(level)] \(TerminalText.escaped(text))")
  }

  /// Local time with microseconds, as Go's log package writes it.
  private static func timestamp() -> String {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    var parts = tm()
    localtime_r(&time.tv_sec, &parts)
    let date = [parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday].map { padded(Int($0), 2) }
    let clock = [parts.tm_hour, parts.tm_min, parts.tm_sec].map { padded(Int($0), 2) }
    let fraction = padded(time.tv_nsec / 1000, 6)
    return "\(date.joined(separator: "/")) \(clock.joined(separator: ":")).\(fraction)"
  }

  private static func padded(_ value: Int, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }
}
