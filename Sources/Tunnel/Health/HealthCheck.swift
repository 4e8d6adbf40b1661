/// How a share finds out whether a target of its own works, for those who may send its visitors to
/// another share instead.
public struct HealthCheck: Equatable, Sendable {
  /// What is asked.
  public var question: Question
  /// From one check to the next.
  public var interval = Duration.seconds(5)
  /// How long the target may take; no longer than `interval`.
  public var timeout = Duration.seconds(2)
  /// Checks in a row that have to fail before the target counts as down.
  public var fall = 2
  /// Checks in a row that have to pass before it counts as up again.
  public var rise = 2

  /// What a check asks of the target.
  public enum Question: Equatable, Sendable {
    /// It takes a connection.
    case tcp
    /// It answers GET of this path with a status from 200 to 399.
    case http(path: String)
  }

  /// With the defaults.
  public init(_ question: Question) {
    self.question = question
  }

  /// After this long at most, a target that fails is told of.
  public var timeToDown: Duration { interval * fall + timeout }
}

/// Why a check failed.
public enum HealthProblem: Equatable, Sendable {
  /// No connection; the `errno`.
  case unreachable(Int32)
  /// Nothing in time.
  case tooSlow
  /// The connection ended before the answer.
  case noAnswer
  /// What came is no HTTP/1.x.
  case notHTTP
  /// Another status than from 200 to 399.
  case status(Int)
}

/// What is known of the target of a service.
public struct HealthReport: Equatable, Sendable {
  /// The service's name.
  public var service: String
  /// Whether it passes; nil before the first check.
  public var isUp: Bool?
  /// Why the last check failed; nil if it passed.
  public var problem: HealthProblem?
  /// For how long it has been so.
  public var age: Duration
}
