import Glibc

/// Everything that makes a measurement worthless; each one ends the program with exit code 1 or 2.
enum LoadError: Error, CustomStringConvertible {
  /// The command line cannot be understood; carries every complaint at once.
  case usage([String])
  /// A system call failed for a reason other than time.
  case system(call: String, code: Int32)
  /// No byte moved for the time that `--timeout` allows.
  case timeout(String)
  /// The other side ended the connection before the exchange was complete.
  case closed(String)
  /// A byte differs from what the other side must have sent at this position.
  case wrongByte(position: Int)
  /// The other side broke the instrument's own small protocol.
  case protocolViolation(String)

  /// The sentence for people and for the `error` member of the report.
  var description: String {
    switch self {
    case .usage(let complaints): complaints.joined(separator: "\n")
    case .system(let call, let code): "\(call): \(String(cString: strerror(code)))"
    case .timeout(let activity): "timed out: \(activity)"
    case .closed(let activity): "connection lost: \(activity)"
    case .wrongByte(let position): "wrong byte at position \(position)"
    case .protocolViolation(let detail): "protocol violation: \(detail)"
    }
  }

  /// The process's exit code: 2 for a command line that cannot work, else 1.
  var exitCode: Int32 {
    if case .usage = self { 2 } else { 1 }
  }

  /// Turns the current `errno` into an error; an expired socket timeout becomes `.timeout`.
  static func current(_ call: String) -> LoadError {
    let code = errno
    switch code {
    case EAGAIN, EINPROGRESS, ETIMEDOUT: return .timeout(call)
    case ECONNRESET, EPIPE: return .closed(call)
    default: return .system(call: call, code: code)
    }
  }
}
