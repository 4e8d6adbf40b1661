internal import QuicTransport

/// Decides who comes in to a share, and who has to leave.
///
/// First the proof: nobody who does not hold a capability of this share learns anything else. Then
/// the list of identities, the grant's expiry, its revocation and its uses. Files are looked at when
/// somebody with a valid proof asks, and each second while sessions are open; one that cannot be
/// read lets nobody new in, and leaves who is in.
final class Gate {
  private let root: SecretBytes
  private let ledgerFile: LedgerFile?
  private let wallClock: () -> UInt64
  private var ledger = Ledger()
  private var ledgerStamp: FileStamp?
  private var ledgerProblem: AccessFileError?
  private var allowList: AllowList?
  private var throttle = Throttle()
  private var waiting = 0
  /// Told once of each file that became unusable.
  var onProblem: ((AccessProblem) -> Void)?

  /// A peer that was let in.
  struct Admission: Equatable {
    let peer: PublicKey?
    /// Nil for the holder of an unrestricted ticket.
    let grant: Grant?

    func allows(service: String) -> Bool { grant?.allows(service: service) ?? true }

    /// A ticket for some services is for nothing else.
    var allowsListening: Bool { grant?.services.isEmpty ?? true }
  }

  /// What becomes of a HELLO.
  enum Verdict: Equatable {
    case admitted(Admission)
    /// To be answered after the delay; call `waitEnded` then if it is not zero.
    case refused(Refusal, delay: Duration)
  }

  /// - Parameters:
  ///   - root: the capability of the share's unrestricted ticket.
  ///   - wallClock: seconds since 1970.
  /// - Throws: for a file that is damaged, or cannot be read; the list of tickets may be missing.
  init(
    root: SecretBytes, rules: AccessRules, wallClock: @escaping () -> UInt64
  ) throws(AccessProblem) {
    self.root = root
    self.wallClock = wallClock
    ledgerFile = rules.tickets
    if let allowed = rules.allowed {
      allowList = try AllowList(keys: allowed.keys, files: allowed.files)
    }
    loadLedger()
    if let ledgerFile, let ledgerProblem, ledgerProblem != .missing {
      throw AccessProblem(.tickets, path: ledgerFile.path, error: ledgerProblem)
    }
  }

  /// Whether those who are in may have to leave.
  var needsWatch: Bool { ledgerFile != nil || allowList != nil }

  // MARK: Coming in

  /// Judges the proof and the grant of a HELLO, and writes the use down if it counts.
  func judge(
    _ hello: ControlMessage.Hello, on connection: ConnectionCore, from source: SocketAddress,
    now: Instant
  ) -> Verdict {
    do throws(Refusal) {
      return .admitted(try admit(hello, on: connection))
    } catch {
      guard error.isThrottled else { return .refused(error, delay: .zero) }
      var delay = throttle.delay(afterFailureFrom: source, now: now)
      // Those who wait hold places of strangers; most of these must stay free for others.
      if waiting >= Self.waitingMax { delay = .zero }
      if delay > .zero { waiting += 1 }
      return .refused(error, delay: delay)
    }
  }

  /// A refusal that had to wait was answered, or its peer has gone.
  func waitEnded() {
    waiting -= 1
  }

  /// Whether a refusal with this code from there is news: each source is one line in an interval.
  func isWorthTelling(code: UInt64?, of source: SocketAddress, now: Instant) -> Bool {
    guard code == TunnelCode.notAuthorized || code == TunnelCode.identityNotAllowed else {
      return true
    }
    return throttle.isWorthTelling(of: source, now: now)
  }

  private func admit(
    _ hello: ControlMessage.Hello, on connection: ConnectionCore
  ) throws(Refusal) -> Admission {
    // The capability is made from the bytes as they came: any other bytes make another one.
    let capability =
      hello.grant.isEmpty ? root : Grant.capability(root: root, grant: hello.grant)
    guard CapabilityProof.isValid(hello.proof, capability: capability, connection: connection)
    else { throw .wrongProof }
    let grant = Grant(hello.grant)
    guard hello.grant.isEmpty || grant != nil else { throw .wrongProof }
    let admission = Admission(peer: connection.peer, grant: grant)
    refresh()
    if let allowList, !allowList.isUsable { throw .undecidable }
    if grant != nil, ledgerProblem != nil { throw .undecidable }
    if let refusal = standing(of: admission) { throw refusal }
    try use(admission)
    return admission
  }

  /// The capability of the tickets with this grant (empty: of the unrestricted one), to judge who
  /// looks for us at a rendezvous; nil for a grant that does not hold, or was revoked. Who may use what
  /// is judged by the HELLO, as ever.
  func capability(ofGrant bytes: [UInt8]) -> SecretBytes? {
    guard !bytes.isEmpty else { return root }
    guard let grant = Grant(bytes), !grant.isExpired(at: wallClock()) else { return nil }
    refresh()
    guard ledgerProblem != nil || ledger.ticket(grant.id)?.isRevoked == false else { return nil }
    return Grant.capability(root: root, grant: bytes)
  }

  private func use(_ admission: Admission) throws(Refusal) {
    guard let grant = admission.grant, grant.uses > 0 else { return }
    guard let ledgerFile, let peer = admission.peer else { throw .undecidable }
    if ledger.ticket(grant.id)?.users.contains(peer) == true { return }
    // It must be on disk before the peer is in, or a crash would give the use back. This blocks the
    // loop for an fsync(2), once for each identity and ticket.
    let isAllowed: Bool
    do throws(AccessFileError) {
      isAllowed = try ledgerFile.update(patience: Self.lockPatience) { ledger in
        ledger.use(grant.id, by: peer)
      }
    } catch {
      onProblem?(AccessProblem(.tickets, path: ledgerFile.path, error: error))
      throw .undecidable
    }
    loadLedger()
    guard isAllowed else { throw .usedUp }
  }

  // MARK: Staying

  /// Reads the files again that changed.
  func refresh() {
    if var list = allowList {
      for problem in list.refresh() { onProblem?(problem) }
      allowList = list
    }
    guard let ledgerFile, FileStamp(path: ledgerFile.path) != ledgerStamp else { return }
    let before = ledgerProblem
    loadLedger()
    if let ledgerProblem, ledgerProblem != before {
      onProblem?(AccessProblem(.tickets, path: ledgerFile.path, error: ledgerProblem))
    }
  }

  /// Why a peer that is in has to leave; nil if it may stay.
  func standing(of admission: Admission) -> Refusal? {
    if let allowList {
      guard let peer = admission.peer, allowList.contains(peer) else { return .identityNotAllowed }
    }
    guard let grant = admission.grant else { return nil }
    if grant.isExpired(at: wallClock()) { return .expired }
    guard let ticket = ledger.ticket(grant.id), !ticket.isRevoked else { return .revoked }
    return nil
  }

  private func loadLedger() {
    guard let ledgerFile else { return }
    // Of a file that cannot be read, too, so that it is not read again until it changes.
    ledgerStamp = FileStamp(path: ledgerFile.path)
    do throws(AccessFileError) {
      (ledger, ledgerStamp) = try ledgerFile.load()
      ledgerProblem = nil
    } catch {
      ledgerProblem = error
    }
  }

  /// How many refusals wait at a time, of the 256 places that strangers share.
  static let waitingMax = 64
  /// Another process that holds the lock is done in milliseconds, and the loop must not stand still.
  private static let lockPatience = Duration.milliseconds(50)
}
