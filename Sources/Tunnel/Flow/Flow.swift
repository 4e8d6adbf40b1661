internal import QuicTransport

/// A stream that is a flow, whichever side opened it, as its session keeps it.
protocol Flow: AnyObject {
  /// Of its stream; no two of a session are the same.
  var number: Int64 { get }
  /// Begins to move bytes.
  func start()
  /// How it is doing.
  func status(now: Instant) -> FlowStatus
  /// Breaks it off; its end is reported before this returns.
  func abort(code: UInt64)
}

extension IncomingFlow: Flow {}
extension OutgoingFlow: Flow {}
