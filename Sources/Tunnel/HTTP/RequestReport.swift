/// One HTTP request that passed through a share, and what became of it.
public struct RequestReport: Sendable, Equatable {
  /// The number of its flow within its session.
  public let flow: Int64
  /// The service that it was for; empty for one without a name.
  public let service: String
  /// As the client wrote it.
  public let method: String
  /// As the client wrote it, without the query, which may hold secrets. It may hold anything else.
  public let path: String
  /// nil where the connection ended before an answer.
  public let status: Int?
  /// False where the connection ended before the answer did.
  public let isWhole: Bool
  /// Bytes of the answer's body, as they were transferred.
  public let answerBytes: UInt64
  /// From the first byte of the request to the last byte of the answer, at the sharing side.
  public let duration: Duration

  /// All of it.
  public init(
    flow: Int64, service: String, method: String, path: String, status: Int?, isWhole: Bool,
    answerBytes: UInt64, duration: Duration
  ) {
    self.flow = flow
    self.service = service
    self.method = method
    self.path = path
    self.status = status
    self.isWhole = isWhole
    self.answerBytes = answerBytes
    self.duration = duration
  }
}
