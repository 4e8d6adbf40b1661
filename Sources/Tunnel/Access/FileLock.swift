internal import Glibc

/// A lock on a file that takes turns between processes (flock(2)); released when its last owner lets go,
/// or the process ends, however that comes about.
final class FileLock {
  private let raw: Int32

  /// Takes the lock on a file that is open; nil while another process has it.
  ///
  /// - Parameter raw: the descriptor, which this object closes in any case.
  init?(owning raw: Int32, patience: Duration) throws(AccessFileError) {
    self.raw = raw
    var stepsLeft = patience / Self.step
    while flock(raw, LOCK_EX | LOCK_NB) != 0 {
      guard errno == EWOULDBLOCK || errno == EINTR else { throw .unwritable(errno) }
      guard stepsLeft >= 1 else { return nil }
      stepsLeft -= 1
      usleep(UInt32(Self.step / .microseconds(1)))
    }
  }

  /// Takes the lock on a file of its own, made if it is not there and left behind: whoever removed it
  /// could take it from under one who has just opened it.
  ///
  /// - Throws: `.busy` while another process has it.
  static func take(_ path: String) throws(AccessFileError) -> FileLock {
    let code = PrivateFile.makeFolders(of: path)
    guard code == 0 else { throw .unwritable(code) }
    let raw = open(path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o600)
    guard raw >= 0 else { throw .unwritable(errno) }
    guard let lock = try FileLock(owning: raw, patience: .zero) else { throw .busy }
    return lock
  }

  deinit { close(raw) }

  /// A writer is done in about the time of one fsync(2).
  private static let step = Duration.milliseconds(2)
}
