internal import QuicTransport

/// Where a relay keeps its leases: a file that is replaced whole when they change.
///
///     change --interval since the last writing--> written --> what waited for it
///
/// A relay says that it listens when the lease is in the file, so that not even one that dies at that
/// moment gives an address to another key. Writing may take a disk's time: the first change is written
/// at once, those that follow it together.
final class LeaseFile {
  private let loop: any EventLoop
  private let write: ([UInt8]) throws(AccessFileError) -> Void
  private let onProblem: (AccessFileError?) -> Void
  private var timer: LoopTimer?
  private var contents: (() -> [UInt8]?)?
  private var waiting: [() -> Void] = []
  private var lastWriting: Instant?
  private var problem: AccessFileError?
  /// Keeps other relays from the file; nil where nobody else could have it.
  private let lock: FileLock?

  /// - Parameters:
  ///   - lock: held for as long as this object lives.
  ///   - onProblem: told when writing begins to fail, with why, and when it works again, with nil.
  init(
    loop: any EventLoop, lock: FileLock?,
    write: @escaping ([UInt8]) throws(AccessFileError) -> Void,
    onProblem: @escaping (AccessFileError?) -> Void
  ) {
    self.loop = loop
    self.lock = lock
    self.write = write
    self.onProblem = onProblem
  }

  /// Has what `contents` returns written, now or soon; nothing if that is nil by then.
  func save(_ contents: @escaping () -> [UInt8]?) {
    self.contents = contents
    // It is tried again by its own plan.
    guard problem == nil else { return }
    let due = lastWriting.map { $0 + Self.interval } ?? loop.now
    if due <= loop.now { flush() } else { arm(at: due) }
  }

  /// Does this when all that was saved is in the file; at once while it cannot be written, since a
  /// relay with a full disk goes on.
  func whenSaved(_ action: @escaping () -> Void) {
    if contents == nil || problem != nil { action() } else { waiting.append(action) }
  }

  /// Writes now what was to be written soon.
  func flush() {
    guard let contents else { return }
    if let timer { loop.cancel(timer) }
    lastWriting = loop.now
    do throws(AccessFileError) {
      if let bytes = contents() { try write(bytes) }
      self.contents = nil
      if problem != nil { onProblem(nil) }
      problem = nil
    } catch {
      // Said once; a full disk may have room again later.
      if problem != error { onProblem(error) }
      problem = error
      arm(at: loop.now + Self.retryInterval)
    }
    let saved = waiting
    waiting.removeAll()
    for action in saved { action() }
  }

  /// Writes the rest, for the last time.
  func close() {
    flush()
    contents = nil
    if let timer { loop.cancel(timer) }
    timer = nil
  }

  private func arm(at time: Instant) {
    if let timer, timer.isArmed, timer.deadline <= time { return }
    let timer = self.timer ?? LoopTimer { [weak self] _ in self?.flush() }
    self.timer = timer
    loop.schedule(timer, at: time)
  }

  private static let interval = Duration.milliseconds(50)
  private static let retryInterval = Duration.seconds(5)
}

extension LeaseFile {
  /// Keeps the file for this process: two relays that write it would forget each other's leases. The
  /// lock is a file beside it, since the file itself is replaced whenever it is written.
  static func lock(_ path: String) throws(AccessFileError) -> FileLock {
    try FileLock.take(path + ".lock")
  }

  /// The leases in the file; none where there is no file yet.
  static func read(_ path: String) throws(AccessFileError) -> [UInt8]? {
    do throws(AccessFileError) {
      return try PrivateFile.read(path, sizeMax: sizeMax, forbidden: 0o022).0
    } catch .missing {
      return nil
    }
  }

  /// Ten thousand leases.
  private static let sizeMax = 4 << 20
}
