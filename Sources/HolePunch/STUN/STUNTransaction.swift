public import QuicTransport

/// One question to one STUN server, asked again until it is answered or given up.
///
/// The delays of RFC 8489 §6.2.1 start at 500 ms, for networks of 2008; we start at 100 ms and
/// double, because a user waits and a question has 28 bytes.
public struct STUNTransaction: Sendable {
  /// Whom it asks.
  public let server: SocketAddress
  /// What the answer must repeat.
  public let transaction: TransactionID
  /// When to call `handleTimeout`; nil when it is over.
  public private(set) var timeout: Instant?

  private let request: [UInt8]
  private var sentCount = 0

  /// How a question ended.
  public enum Outcome: Equatable, Sendable {
    /// The address that the server saw, and from where it answered.
    case answered(STUNMessage, from: SocketAddress)
    /// The server refused (ERROR-CODE).
    case refused(Int)
    /// No answer came.
    case timedOut
  }

  /// - Parameters:
  ///   - changing: where the answer shall come from, if not from `server`.
  ///   - random: fit for keys: the transaction is all that authenticates the answer.
  public init(
    server: SocketAddress, changing: STUNMessage.ChangeRequest?, now: Instant,
    using random: inout some RandomNumberGenerator
  ) {
    self.server = server
    transaction = TransactionID(using: &random)
    var message = STUNMessage(kind: .request, transaction: transaction)
    message.changeRequest = changing
    request = message.encoded
    timeout = now
  }

  /// What to do at `timeout`: send this to `server`, or give up.
  public mutating func handleTimeout(now: Instant) -> Step {
    guard let due = timeout, due <= now else { return .wait }
    guard sentCount < Self.attemptsMax else {
      timeout = nil
      return .over(.timedOut)
    }
    timeout = now + Self.firstDelay * (1 << sentCount)
    sentCount += 1
    return .send(request)
  }

  /// Judges a message; nil if it is not the answer to this question.
  public mutating func receive(_ message: STUNMessage, from source: SocketAddress) -> Outcome? {
    guard timeout != nil, message.transaction == transaction else { return nil }
    switch message.kind {
    case .success where message.mappedAddress != nil && message.notUnderstood.isEmpty:
      timeout = nil
      return .answered(message, from: source)
    case .error:
      timeout = nil
      return .refused(message.errorCode ?? 0)
    default: return nil
    }
  }

  /// What a timeout leads to.
  public enum Step: Equatable, Sendable {
    case send([UInt8])
    case over(Outcome)
    case wait
  }

  /// 100, 200, 400 and 800 ms after the first: gives up after 1.5 s. RTTs beyond are served too,
  /// since a late answer to any of the four counts until then.
  static let attemptsMax = 4
  static let firstDelay = Duration.milliseconds(100)
}
