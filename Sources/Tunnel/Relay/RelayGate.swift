internal import QuicTransport

/// Decides who may register at a relay, and who has to leave.
///
/// Like `Gate`, which does so for a share: files are looked at when somebody asks, and each second
/// while nodes are there; one that cannot be read lets nobody new in, and leaves who is in.
final class RelayGate {
  private(set) var access: RelayAccess
  private let wallClock: () -> UInt64
  private var tokens = TokenList()
  private var tokensStamp: FileStamp?
  private var tokensProblem: AccessFileError?
  private var allowList: AllowList?
  private var throttle = Throttle()
  private var guesses = GuessBudget()
  private var waiting = 0
  /// Told once of each file that became unusable.
  var onProblem: ((AccessProblem) -> Void)?

  /// Why a node may do what it may.
  enum Holder: Equatable {
    case everybody
    case listed
    case token(RelayTokenID)
  }

  /// A node that may do something.
  struct Admission: Equatable {
    let holder: Holder
    let scope: RelayScope
    /// In seconds since 1970; 0 for never.
    let expiry: UInt64
  }

  /// What becomes of a token.
  enum Verdict: Equatable {
    case admitted(Admission)
    /// To be answered after the delay; call `waitEnded` then if it is not zero.
    case refused(RelayDenial, delay: Duration)
    /// Too many wrong ones came from there. To be judged after the delay; call `waitEnded` then.
    case later(Duration)
    /// It cannot wait either.
    case full
  }

  /// - Parameter wallClock: seconds since 1970.
  /// - Throws: for a file that is damaged, or cannot be read.
  init(access: RelayAccess, wallClock: @escaping () -> UInt64) throws(AccessProblem) {
    self.access = access
    self.wallClock = wallClock
    allowList = try Self.list(access)
    loadTokens()
    if let file = access.tokens, let tokensProblem {
      throw AccessProblem(.tokens, path: file.path, error: tokensProblem)
    }
  }

  /// Takes other rules, or keeps the old ones if a file of the new ones cannot be read.
  func apply(_ access: RelayAccess) throws(AccessProblem) {
    let next = try RelayGate(access: access, wallClock: wallClock)
    self.access = access
    (allowList, tokens) = (next.allowList, next.tokens)
    (tokensStamp, tokensProblem) = (next.tokensStamp, nil)
  }

  private static func list(_ access: RelayAccess) throws(AccessProblem) -> AllowList? {
    guard let allowed = access.allowed else { return nil }
    return try AllowList(keys: allowed.keys, files: allowed.files)
  }

  /// Whether those who are in may have to leave.
  var needsWatch: Bool { access.tokens != nil || allowList != nil }

  // MARK: Coming in

  /// What a node may do that has shown no token; nil for nothing but to look for others.
  func standing(of identity: PublicKey) -> Admission? {
    if access.isOpen { return Admission(holder: .everybody, scope: .everything, expiry: 0) }
    refresh()
    guard let allowList, allowList.isUsable, allowList.contains(identity) else { return nil }
    return Admission(holder: .listed, scope: .everything, expiry: 0)
  }

  /// Why a node without a right may not register.
  var denial: RelayDenial {
    if allowList?.isUsable == false { return .undecidable }
    return allowList != nil && tokens.tokens.isEmpty ? .identityNotAllowed : .tokenNeeded
  }

  /// Judges the secret of a token.
  ///
  /// - Parameter hasWaited: it was to be judged later, and this is its turn.
  func judge(
    secret: [UInt8], from source: SocketAddress, hasWaited: Bool, now: Instant
  ) -> Verdict {
    if !hasWaited {
      guard let wait = guesses.turn(of: source, now: now) else { return .full }
      if wait > .zero {
        guard waiting < Gate.waitingMax else { return .full }
        waiting += 1
        return .later(wait)
      }
    }
    do throws(RelayDenial) {
      return .admitted(try admit(secret))
    } catch {
      if !hasWaited { guesses.noteFailure(from: source, now: now) }
      guard error.isThrottled else { return .refused(error, delay: .zero) }
      var delay = throttle.delay(afterFailureFrom: source, now: now)
      // Those who wait hold places of nodes; most of these must stay free for others.
      if waiting >= Gate.waitingMax { delay = .zero }
      if delay > .zero { waiting += 1 }
      return .refused(error, delay: delay)
    }
  }

  /// What had to wait has its answer or its turn, or the node has gone.
  func waitEnded() { waiting -= 1 }

  /// Whether a refusal of this source is news: each source is one line in an interval.
  func isWorthTelling(of source: SocketAddress, now: Instant) -> Bool {
    throttle.isWorthTelling(of: source, now: now)
  }

  private func admit(_ secret: [UInt8]) throws(RelayDenial) -> Admission {
    refresh()
    guard tokensProblem == nil else { throw .undecidable }
    guard let token = tokens.token(digest: RelayToken.digest(of: secret)) else {
      throw .tokenWrong
    }
    if let denial = token.denial(at: wallClock()) { throw denial }
    return Admission(holder: .token(token.id), scope: token.scope, expiry: token.expiry)
  }

  // MARK: Staying

  /// Reads the files again that changed.
  func refresh() {
    if var list = allowList {
      for problem in list.refresh() { onProblem?(problem) }
      allowList = list
    }
    guard let file = access.tokens, FileStamp(path: file.path) != tokensStamp else { return }
    let before = tokensProblem
    loadTokens()
    if let tokensProblem, tokensProblem != before {
      onProblem?(AccessProblem(.tokens, path: file.path, error: tokensProblem))
    }
  }

  /// Why a node that had a right has it no longer; nil if it has.
  func ending(of admission: Admission, identity: PublicKey) -> RelayDenial? {
    switch admission.holder {
    case .everybody: return access.isOpen ? nil : denial
    case .listed: return allowList?.contains(identity) == true ? nil : .identityNotAllowed
    case .token(let id):
      guard let token = tokens.token(id) else { return .tokenRevoked }
      return token.denial(at: wallClock())
    }
  }

  private func loadTokens() {
    guard let file = access.tokens else { return }
    // Of a file that cannot be read, too, so that it is not read again until it changes.
    tokensStamp = FileStamp(path: file.path)
    do throws(AccessFileError) {
      (tokens, tokensStamp) = try file.load()
      tokensProblem = nil
    } catch .missing {
      // As before the first token was made; whoever removes it takes all of them back.
      tokens = TokenList()
      tokensProblem = nil
    } catch {
      tokensProblem = error
    }
  }
}

extension TokenList.Record {
  /// Why it is worth nothing at `time`; nil if it is.
  fileprivate func denial(at time: UInt64) -> RelayDenial? {
    switch status(at: time) {
    case .valid, .usedUp: nil
    case .revoked: .tokenRevoked
    case .expired: .tokenExpired
    }
  }
}
