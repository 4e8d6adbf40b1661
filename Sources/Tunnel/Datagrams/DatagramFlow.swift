internal import QuicTransport

/// Where the datagrams of a UDP flow go on this machine: a server, or the program that began it.
///
/// An end need not have one target: it may find it in each payload.
protocol DatagramEnd: AnyObject {
  /// Whose end it is; set once, and held weakly.
  var flow: DatagramFlow? { get set }

  /// Passes a payload on, perhaps not before `flush`; false when it was dropped.
  func send(_ payload: UnsafeRawBufferPointer) -> Bool

  /// The flow is over.
  func close()
}

/// One UDP flow: what a program and a server exchange, until neither sends for a while.
final class DatagramFlow {
  let number: UInt64
  /// The service's place in the WELCOME.
  let service: UInt64
  let end: any DatagramEnd
  /// When something was sent or received last.
  var lastUsed: Instant
  var traffic = DatagramTraffic()
  /// Nil once the flow is over.
  private(set) weak var owner: DatagramFlows?

  init(
    number: UInt64, service: UInt64, end: any DatagramEnd, owner: DatagramFlows, now: Instant
  ) {
    self.number = number
    self.service = service
    self.end = end
    self.owner = owner
    lastUsed = now
    end.flow = self
  }

  /// Sends a payload to the peer; it may be lost.
  func send(_ payload: UnsafeRawBufferPointer) {
    owner?.send(payload, from: self)
  }

  /// Nobody listens at the target.
  func noteRefused() {
    owner?.noteRefused(self)
  }

  /// Ends the flow.
  func close() {
    owner?.remove(self, because: .closed)
  }

  /// Called by its owner alone.
  func detach() {
    owner = nil
    end.close()
  }
}

/// What a UDP flow, or all of them, moved.
public struct DatagramTraffic: Hashable, Sendable {
  /// UDP datagrams of local programs that went to the peer.
  public var sent: UInt64 = 0
  /// UDP datagrams from the peer that were passed on.
  public var received: UInt64 = 0
  /// Those that this side dropped, or could not pass on; of large ones each fragment counts.
  public var dropped: UInt64 = 0
  /// How often nobody listened at the target.
  public var refused: UInt64 = 0
  /// Payload bytes of `sent`.
  public var bytesSent: UInt64 = 0
  /// Payload bytes of `received`.
  public var bytesReceived: UInt64 = 0

  /// All zero.
  public init() {}

  static func += (left: inout DatagramTraffic, right: DatagramTraffic) {
    left.sent += right.sent
    left.received += right.received
    left.dropped += right.dropped
    left.refused += right.refused
    left.bytesSent += right.bytesSent
    left.bytesReceived += right.bytesReceived
  }
}

/// What became of one UDP flow.
public struct DatagramFlowReport: Hashable, Sendable {
  /// Its number among the UDP flows of its session.
  public let number: UInt64
  /// What it moved.
  public let traffic: DatagramTraffic
  /// Why it is over.
  public let ending: Ending

  /// UDP has no end of its own.
  public enum Ending: Hashable, Sendable {
    /// Neither side sent anything for the timeout.
    case idle
    /// There were too many, and nothing used it for the longest time.
    case evicted
    /// The session ended, or its local address was closed.
    case closed
  }
}
