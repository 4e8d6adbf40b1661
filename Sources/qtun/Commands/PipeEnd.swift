internal import Tunnel

/// What ends a pipe.
enum PipeEnd: Equatable {
  case flow(FlowReport.Ending)
  case session
  case signal(StopSignal)

  /// Waits for the first of them.
  ///
  /// - Parameters:
  ///   - session: returns when the session is over; nil where another peer may come. A session that
  ///     ends at once may have taken no flow that could tell of it.
  ///   - executor: where it is waited for.
  static func first(
    of wakeups: Wakeups, session: (@Sendable () async -> TunnelError)?,
    on executor: (any TaskExecutor)?
  ) async -> PipeEnd {
    if let session {
      Task(executorPreference: executor) { wakeups.note(.over(await session())) }
    }
    while true {
      switch await wakeups.next() {
      case .signal(let signal): return .signal(signal)
      case .flowEnded(let report): return .flow(report.ending)
      case .over: return .session
      case .dialled: continue
      }
    }
  }
}
