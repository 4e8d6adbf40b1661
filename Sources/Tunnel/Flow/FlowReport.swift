internal import QuicTransport

/// What became of one flow.
public struct FlowReport: Sendable {
  /// The number of the flow's stream within its session.
  public let number: Int64
  /// Bytes that went from this side's local program to the peer, and back.
  public let bytesSent: UInt64
  /// Bytes that came from the peer for the local program.
  public let bytesReceived: UInt64
  /// Why it ended.
  public let ending: Ending

  /// How a flow came to its end.
  public enum Ending: Equatable, Sendable {
    /// Both sides finished.
    case finished
    /// The local connection broke, with this `errno`.
    case localFailure(Int32)
    /// The peer's program broke it off.
    case remoteReset
    /// Nothing listens at the shared target; on the sharing side with its `errno`.
    case targetRefused(Int32?)
    /// The target could not be reached.
    case targetUnreachable(Int32?)
    /// The service takes one flow and has it.
    case targetBusy
    /// The sharing side does not allow the destination that was named.
    case targetNotAllowed
    /// The name of the destination has no address.
    case nameNotFound
    /// The session ended first.
    case sessionLost
    /// The peer asked for something that is not shared, or did not follow the protocol.
    case rejected
  }
}

extension FlowReport.Ending {
  init(_ ending: Splice.Ending) {
    switch ending {
    case .finished: self = .finished
    case .localFailure(let code): self = .localFailure(code)
    case .sessionLost: self = .sessionLost
    case .remote(let code):
      switch code {
      case TunnelCode.targetRefused: self = .targetRefused(nil)
      case TunnelCode.targetUnreachable: self = .targetUnreachable(nil)
      case TunnelCode.targetBusy: self = .targetBusy
      case TunnelCode.targetNotAllowed: self = .targetNotAllowed
      case TunnelCode.nameNotFound: self = .nameNotFound
      case TunnelCode.unknownService, TunnelCode.malformedHeader, TunnelCode.serviceMismatch,
        TunnelCode.notInScope:
        self = .rejected
      case TunnelCode.sessionEnding: self = .sessionLost
      default: self = .remoteReset
      }
    }
  }
}
