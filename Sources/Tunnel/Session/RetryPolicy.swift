/// When a link dials again.
///
/// By default the first attempt fails at once: a ticket of yesterday or a share that does not run is
/// what goes wrong most often then, and the user sits there to hear of it. A session that was open once
/// is another matter: it is dialled again for as long as it takes.
public struct RetryPolicy: Hashable, Sendable {
  /// How many attempts in a row may follow one that failed; nil for any number.
  public var attemptsMax: Int?
  /// Whether the very first attempt is repeated as well.
  public var includesFirst: Bool

  /// A policy of one's own.
  public init(attemptsMax: Int?, includesFirst: Bool) {
    self.attemptsMax = attemptsMax
    self.includesFirst = includesFirst
  }

  /// A lost session is lost.
  public static let never = RetryPolicy(attemptsMax: 0, includesFirst: false)
  /// A session that was open is dialled again until it is back.
  public static let afterLoss = RetryPolicy(attemptsMax: nil, includesFirst: false)
  /// Dials until there is a session, and again when it is lost.
  public static let always = RetryPolicy(attemptsMax: nil, includesFirst: true)

  /// How long to wait before the attempt with this number, the first being 1: 200 ms, then 1.6 times
  /// as long each time, up to 15 s.
  ///
  /// - Parameter jitter: 0 to 1; takes up to a third off, so that the peers of a share that
  ///   restarted do not all come at once.
  static func delay(attempt: Int, jitter: Double) -> Duration {
    var delay = delayMin
    for _ in 1..<max(1, min(attempt, attemptsToMax)) { delay = min(delay * 8 / 5, delayMax) }
    return delay * (1 - jitter / 3)
  }

  private static let delayMin = Duration.milliseconds(200)
  private static let delayMax = Duration.seconds(15)
  /// After so many the delay grows no more.
  private static let attemptsToMax = 12
}

extension TunnelError {
  /// Whether another attempt with the same ticket may go better, with nobody doing anything on
  /// this side.
  public var mayHeal: Bool {
    switch self {
    case .unreachable, .relaysUnreachable, .peerAbsent, .notDirect, .notRelayed, .ended, .lost,
      .greetingBroken:
      true
    case .proxy(.credentialsMissing), .proxy(.credentialsRefused): false
    case .proxy: true
    case .cannotBind, .cannotListen, .unknownService, .notDynamic, .noDynamicService, .wrongKind,
      .remoteListenRefused, .publicRefused, .leaseFile, .certificate, .refused, .denied,
      .accessFile,
      .identityMismatch, .incompatible,
      .configuration, .system:
      false
    }
  }
}
