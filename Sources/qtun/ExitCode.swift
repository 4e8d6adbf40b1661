/// How a run of `qtun` ended, as the process status that scripts and service managers see.
///
/// The numbers are a promise: they are printed by `qtun help exit-codes` and never reused. A run
/// that a first signal drains ends with `ok`; the codes above 128 mean that a second signal cut
/// the draining short, and follow the shell's rule of 128 plus the number of the signal.
enum ExitCode: Int32, CaseIterable, Sendable {
  /// The work was done, or a signal asked for the end and everything was drained.
  case ok = 0
  /// A defect of qtun itself, or an error of the system that has no code of its own.
  case internalError = 1
  /// The command line was wrong; nothing was started.
  case usage = 2
  /// The command line was right, but a file, a ticket or the environment it names was not.
  case configuration = 3
  /// The peer was reached and turned us away.
  case refused = 4
  /// The peer could not be reached.
  case unreachable = 5
  /// A local address could not be listened on.
  case cannotBind = 6
  /// Nothing accepts connections at the shared service.
  case targetRefused = 7
  /// The peer proved an identity other than the one that the ticket names.
  case identityMismatch = 8
  /// A pipe was cut off before both directions had ended.
  case incomplete = 9
  /// There is no direct path, and no other one that is allowed or to be had.
  case notDirect = 10
  /// A second signal, SIGHUP, cut the draining short.
  case forcedByHangup = 129
  /// A second signal, SIGINT, cut the draining short.
  case forcedByInterrupt = 130
  /// A second signal, SIGTERM, cut the draining short.
  case forcedByTerminate = 143

  /// The short name that stands beside the number in JSON and in the help page.
  var name: String {
    switch self {
    case .ok: "ok"
    case .internalError: "internal"
    case .usage: "usage"
    case .configuration: "configuration"
    case .refused: "refused"
    case .unreachable: "unreachable"
    case .cannotBind: "cannot-bind"
    case .targetRefused: "target-refused"
    case .identityMismatch: "identity-mismatch"
    case .incomplete: "incomplete"
    case .notDirect: "not-direct"
    case .forcedByHangup: "forced-hangup"
    case .forcedByInterrupt: "forced-interrupt"
    case .forcedByTerminate: "forced-terminate"
    }
  }

  /// One clause for the help page: what has happened when a user sees this number.
  var meaning: String {
    switch self {
    case .ok: "done, or drained after a first signal"
    case .internalError: "a defect of qtun, or a system error without a code of its own"
    case .usage: "the command line is wrong; nothing was started"
    case .configuration: "a file, a ticket or an environment variable is wrong"
    case .refused:
      "the peer refused: a wrong, revoked, expired or used-up ticket, our identity, or a -R"
    case .unreachable: "the peer could not be reached, or no server answered"
    case .cannotBind: "a local address is in use, not permitted or not on this machine"
    case .targetRefused: "nothing accepts connections at the shared service"
    case .identityMismatch: "the peer proved another identity than the ticket names"
    case .incomplete: "a pipe was cut off before both directions had ended"
    case .notDirect:
      "no direct path, and none through a relay that is allowed or to be had; or `qtun ping "
        + "--until-direct` had no answer directly over UDP"
    case .forcedByHangup: "ended by SIGHUP before draining was complete"
    case .forcedByInterrupt: "ended by SIGINT (Ctrl-C twice) before draining was complete"
    case .forcedByTerminate: "ended by SIGTERM before draining was complete"
    }
  }
}
