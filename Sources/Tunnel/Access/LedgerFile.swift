internal import Glibc

/// The file of a ledger, shared by every process of an identity: shares read it, `qtun ticket`
/// writes it, and a share writes down who used a ticket.
///
/// Each writer puts a new file in the old one's place, so they take turns by a lock on the identity's
/// file, which stays; readers need no lock. An empty list leaves no file behind.
public struct LedgerFile: Sendable {
  /// Where it is.
  public let path: String
  private let lockPath: String

  /// The file that belongs to the identity in `identityFile`.
  public init(besideIdentity identityFile: String) {
    path = identityFile + ".access"
    lockPath = identityFile
  }

  /// Reads it; an empty ledger if there is none.
  public func loadOrEmpty() throws(AccessFileError) -> Ledger {
    do throws(AccessFileError) {
      return try load().ledger
    } catch .missing {
      return Ledger()
    }
  }

  /// Reads it, changes it and writes it, with no other process in between.
  ///
  /// - Parameter patience: how long to wait, blocking, for a process that does the same.
  public func update<Result>(
    patience: Duration, _ change: (inout Ledger) throws(AccessFileError) -> Result
  ) throws(AccessFileError) -> Result {
    let lock = try lock(patience: patience)
    defer { withExtendedLifetime(lock) {} }
    var ledger = try loadOrEmpty()
    let before = ledger
    let result = try change(&ledger)
    guard ledger != before else { return result }
    guard ledger != Ledger() else {
      guard unlink(path) == 0 else { throw .unwritable(errno) }
      return result
    }
    let text = ledger.text
    guard text.count <= Self.sizeMax else { throw .full }
    try PrivateFile.replace(path, with: text)
    return result
  }

  /// Reads it, with the stamp by which a change shows.
  func load() throws(AccessFileError) -> (ledger: Ledger, stamp: FileStamp) {
    let (bytes, stamp) = try PrivateFile.read(path, sizeMax: Self.sizeMax, forbidden: 0o077)
    return (try Ledger(text: bytes), stamp)
  }

  /// A few ten thousand users; a share reads all of it when it changes.
  private static let sizeMax = 4 << 20

  // MARK: Lock

  private func lock(patience: Duration) throws(AccessFileError) -> Lock {
    let raw = open(lockPath, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard raw >= 0 else { throw .unwritable(errno) }
    let lock = Lock(raw)
    var stepsLeft = patience / Self.lockStep
    while flock(raw, LOCK_EX | LOCK_NB) != 0 {
      guard errno == EWOULDBLOCK || errno == EINTR else { throw .unwritable(errno) }
      guard stepsLeft >= 1 else { throw .busy }
      stepsLeft -= 1
      usleep(UInt32(Self.lockStep / .microseconds(1)))
    }
    return lock
  }

  /// Released when its last owner lets go, or the process ends.
  private final class Lock {
    private let raw: Int32

    init(_ raw: Int32) {
      self.raw = raw
    }

    deinit {
      close(raw)
    }
  }

  /// A writer is done in about the time of one fsync(2).
  private static let lockStep = Duration.milliseconds(2)
}
