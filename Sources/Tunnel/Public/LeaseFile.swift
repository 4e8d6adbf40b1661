internal import QuicTransport

/// Where a relay keeps its leases: a file that is replaced whole, a moment after they changed.
///
/// Writing it may take a disk's time, so changes of one moment are written once. A relay that dies
/// in that moment forgets a lease that was never in the file; its holder asks for the same port again.
final class LeaseFile {
  private let loop: any EventLoop
  private let write: ([UInt8]) throws(AccessFileError) -> Void
  private let onProblem: (AccessFileError?) -> Void
  private var timer: LoopTimer?
  private var contents: (() -> [UInt8]?)?
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

  /// Has what `contents` will return written soon; nothing if that is nil by then.
  func save(_ contents: @escaping () -> [UInt8]?) {
    self.contents = contents
    arm(after: Self.delay)
  }

  /// Writes now what was to be written soon.
  func flush() {
    guard let contents else { return }
    if let timer { loop.cancel(timer) }
    do throws(AccessFileError) {
      if let bytes = contents() { try write(bytes) }
      self.contents = nil
      if problem != nil { onProblem(nil) }
      problem = nil
    } catch {
      // Said once; a full disk may have room again later.
      if problem != error { onProblem(error) }
      problem = error
      arm(after: Self.retryInterval)
    }
  }

  /// Writes the rest, for the last time.
  func close() {
    flush()
    contents = nil
    if let timer { loop.cancel(timer) }
    timer = nil
  }

  private func arm(after delay: Duration) {
    if let timer, timer.isArmed, timer.deadline <= loop.now + delay { return }
    let timer = self.timer ?? LoopTimer { [weak self] _ in self?.flush() }
    self.timer = timer
    loop.schedule(timer, at: loop.now + delay)
  }

  private static let delay = Duration.milliseconds(50)
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
