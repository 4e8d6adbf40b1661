import Glibc
import QuicTransport

/// Standard error, shared by log lines and the live status line.
///
/// Each line leaves in one write(2). A reader who has stalled, such as a full pipe or a terminal
/// stopped with Ctrl-S, costs lines and not the tunnel: they are dropped and counted. Nothing here
/// throws; a log that cannot be written must not end a run.
///
/// A mutex rather than the event loop guards the state, because lines also come from before the
/// loop runs and from after it, and because they are few.
final class Console: Sendable {
  /// What is known about the terminal; nil where there is none.
  let terminal: Terminal?

  private let descriptor: Int32
  private let state = Lock(State())

  /// Creates a console on a descriptor, which stays the caller's to close.
  init(descriptor: Int32, terminal: Terminal?) {
    self.descriptor = descriptor
    self.terminal = terminal
  }

  /// The console of this process.
  static func standardError(environment: Environment) -> Console {
    Console(
      descriptor: STDERR_FILENO,
      terminal: Terminal(descriptor: STDERR_FILENO, environment: environment))
  }

  /// Prints one line, above the status line if there is one; `text` has been escaped before.
  func printLine(_ text: String) {
    state.withLock { state in
      var output = ""
      if state.dropped > 0 {
        output += "qtun: \(Format.count(state.dropped, "log line")) lost: standard error stalled\n"
      }
      output += text + "\n"
      if !state.status.isEmpty, let terminal {
        output = "\r\(Self.clearToEnd)\(output)"
        output += TerminalText.fitted(state.status, columns: terminal.columns() - 1)
      }
      if write(output, waiting: state.dropped == 0) {
        state.dropped = 0
      } else {
        state.dropped += 1
      }
    }
  }

  /// Draws the status line, or takes it away with an empty text; nothing without a terminal.
  func setStatus(_ text: String) {
    guard let terminal else { return }
    state.withLock { state in
      guard text != state.status || !text.isEmpty else { return }
      let safe = TerminalText.escaped(text)
      state.status = safe
      let shown = TerminalText.fitted(safe, columns: terminal.columns() - 1)
      // A status that cannot be drawn is no loss: the next one comes soon.
      _ = write("\r\(shown)\(Self.clearToEnd)", waiting: false)
    }
  }
}

// MARK: - Internals

extension Console {
  /// How long a line waits for a reader who has fallen behind, in milliseconds.
  private static let patience: Int32 = 20
  private static let clearToEnd = "\u{1B}[K"

  /// Writes everything or reports that it could not; a write after a positive poll(2) of no more
  /// than a pipe's 4096 bytes does not block.
  private func write(_ text: String, waiting: Bool) -> Bool {
    var text = text
    return text.withUTF8 { bytes in
      var offset = 0
      while offset < bytes.count {
        var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        let count = poll(&ready, 1, waiting ? Self.patience : 0)
        if count < 0, errno == EINTR { continue }
        guard count == 1 else { return false }
        // SAFETY: `offset` is below `bytes.count`, so the base address is not nil and the range
        // lies within the buffer, which outlives the call.
        let written = Glibc.write(descriptor, bytes.baseAddress! + offset, bytes.count - offset)
        if written < 0, errno == EINTR { continue }
        guard written > 0 else { return false }
        offset += written
      }
      return true
    }
  }

  private struct State {
    var status = ""
    var dropped: UInt64 = 0
  }
}
