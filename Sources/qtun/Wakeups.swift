internal import Tunnel

/// What makes a command that waits go on, in the order in which it came.
struct Wakeups: Sendable {
  private let stream: AsyncStream<Wakeup>
  private let continuation: AsyncStream<Wakeup>.Continuation

  /// Why a command that waits goes on.
  enum Wakeup: Sendable {
    case signal(StopSignal)
    /// What the command waits for has come or failed: a session, a measurement.
    case dialled
    /// The session is gone.
    case over(TunnelError)
    /// The flow that the command is about ended.
    case flowEnded(FlowReport)
  }

  init() {
    (stream, continuation) = AsyncStream.makeStream()
  }

  /// Waits for the next one; for one reader at a time.
  func next() async -> Wakeup {
    for await wakeup in stream { return wakeup }
    return .signal(.terminate)
  }

  func note(_ wakeup: Wakeup) {
    continuation.yield(wakeup)
  }
}
