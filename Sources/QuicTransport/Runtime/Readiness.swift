internal import CNgtcp2

/// What epoll said about a descriptor.
public struct Readiness: OptionSet, Sendable {
  /// The bits of `epoll_event.events`.
  public let rawValue: UInt32

  /// A set from epoll's bits.
  public init(rawValue: UInt32) {
    self.rawValue = rawValue
  }

  /// There is something to read, perhaps an end or an error.
  public static let readable = Readiness(rawValue: EPOLLIN.rawValue)
  /// There is room to write.
  public static let writable = Readiness(rawValue: EPOLLOUT.rawValue)
  /// The peer sent FIN.
  public static let peerClosed = Readiness(rawValue: EPOLLRDHUP.rawValue)
  /// Both directions are shut.
  public static let hangUp = Readiness(rawValue: EPOLLHUP.rawValue)
  /// The descriptor failed; SO_ERROR knows why.
  public static let error = Readiness(rawValue: EPOLLERR.rawValue)
}

/// The owner of a descriptor registered with an `EpollLoop`.
public protocol ReadinessHandler: AnyObject {
  /// Called on the loop.
  func ready(_ readiness: Readiness, now: Instant)
}
