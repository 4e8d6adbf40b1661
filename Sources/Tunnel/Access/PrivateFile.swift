internal import Glibc
internal import QuicTransport

/// Files that only their owner may touch.
public enum PrivateFile {
  /// The content of a file of `sizeMax` bytes at most, which must have none of the permission bits of
  /// `forbidden`.
  public static func contents(
    _ path: String, sizeMax: Int, forbidden: UInt32
  ) throws(AccessFileError) -> [UInt8] {
    try read(path, sizeMax: sizeMax, forbidden: forbidden).0
  }

  /// Reads a whole file of `sizeMax` bytes at most.
  ///
  /// - Parameter forbidden: permission bits that it must not have.
  static func read(
    _ path: String, sizeMax: Int, forbidden: mode_t
  ) throws(AccessFileError) -> ([UInt8], FileStamp) {
    // Opening a pipe that nobody writes to would wait for ever.
    let raw = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard raw >= 0 else { throw errno == ENOENT ? .missing : .unreadable(errno) }
    let descriptor = FileDescriptor(owning: raw)
    var status = stat()
    guard fstat(descriptor.raw, &status) == 0 else { throw .unreadable(errno) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .malformed(line: 0) }
    guard status.st_mode & forbidden == 0 else { throw .exposed(mode: status.st_mode & 0o777) }
    guard status.st_size <= sizeMax else { throw .full }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = Glibc.read(descriptor.raw, &buffer, buffer.count)
      guard count >= 0 else { throw .unreadable(errno) }
      if count == 0 { return (bytes, FileStamp(status)) }
      bytes.append(contentsOf: buffer[..<count])
      guard bytes.count <= sizeMax else { throw .full }
    }
  }

  /// Puts a file in place of the one at `path`, by a temporary file that is synced and renamed, so
  /// that a reader finds the old one or the new one whole, even after a crash.
  ///
  /// - Parameter adoptsOwner: the folder's owner gets the file if root writes it; for what holds no
  ///   secret.
  static func replace(
    _ path: String, with bytes: [UInt8], adoptsOwner: Bool, mode: mode_t = 0o600
  ) throws(AccessFileError) {
    // Random, because an interrupted run leaves its file behind, and another thread may be here too.
    let temporary = "\(path).\(Base32.encode(Crypto.random(10))).new"
    let raw = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
    guard raw >= 0 else { throw .unwritable(errno) }
    defer { unlink(temporary) }
    let descriptor = FileDescriptor(owning: raw)
    var offset = 0
    while offset < bytes.count {
      let count = bytes[offset...].withUnsafeBytes {
        Glibc.write(descriptor.raw, $0.baseAddress, $0.count)
      }
      guard count > 0 else { throw .unwritable(errno) }
      offset += count
    }
    if adoptsOwner { adoptOwner(of: path, descriptor.raw) }
    guard fsync(descriptor.raw) == 0, rename(temporary, path) == 0 else {
      throw .unwritable(errno)
    }
    syncFolder(of: path)
  }

  /// Whoever reads the file may be another user than root, who writes it: `sudo qtun token add` for
  /// a relay that runs as a user of its own. The folder's owner is the one meant.
  private static func adoptOwner(of path: String, _ descriptor: Int32) {
    guard geteuid() == 0 else { return }
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    var status = stat()
    guard stat(folder, &status) == 0, status.st_uid != 0 else { return }
    _ = fchown(descriptor, status.st_uid, status.st_gid)
  }

  /// Writes a file that everybody may read, in place of the one at `path` if there is one; makes the
  /// folders above it.
  public static func writePublic(_ path: String, bytes: [UInt8]) throws(AccessFileError) {
    let code = makeFolders(of: path, mode: 0o755)
    guard code == 0 else { throw .unwritable(code) }
    try replace(path, with: bytes, adoptsOwner: false, mode: 0o644)
  }

  /// Makes the folders above a file that do not exist, for its owner alone unless `mode` says more; 0
  /// or an `errno`.
  static func makeFolders(of path: String, mode: mode_t = 0o700) -> Int32 {
    var index = path.startIndex
    while let slash = path[index...].firstIndex(of: "/") {
      index = path.index(after: slash)
      let folder = String(path[..<slash])
      guard !folder.isEmpty else { continue }
      if mkdir(folder, mode) != 0, errno != EEXIST { return errno }
    }
    return 0
  }

  /// Writes a file with mode 0600, in place of the one at `path` if there is one; makes the folders
  /// above it.
  public static func write(_ path: String, bytes: [UInt8]) throws(AccessFileError) {
    let code = makeFolders(of: path)
    guard code == 0 else { throw .unwritable(code) }
    try replace(path, with: bytes, adoptsOwner: false)
  }

  /// Without it, a crash may bring the old name back (fsync(2)); where a file system cannot, the
  /// new file still stands for every reader of now.
  static func syncFolder(of path: String) {
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    let raw = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard raw >= 0 else { return }
    let descriptor = FileDescriptor(owning: raw)
    fsync(descriptor.raw)
  }
}

/// What tells that a file changed: another one took its place, or it was written.
struct FileStamp: Equatable {
  private let device: UInt64
  private let inode: UInt64
  private let size: Int64
  private let modified: Int64
  private let changed: Int64

  /// The stamp of the file at `path`; nil if there is none.
  init?(path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    self.init(status)
  }

  init(_ status: stat) {
    device = UInt64(status.st_dev)
    inode = UInt64(status.st_ino)
    size = Int64(status.st_size)
    modified = Self.nanoseconds(status.st_mtim)
    changed = Self.nanoseconds(status.st_ctim)
  }

  private static func nanoseconds(_ time: timespec) -> Int64 {
    Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
  }
}

/// Why a file that says who may come in cannot be used.
public enum AccessFileError: Error, Equatable, Sendable {
  case missing
  /// Others than its owner may read or write it; its permission bits.
  case exposed(mode: UInt32)
  /// This line, counted from 1, cannot be understood; 0 for what is no file of text at all.
  case malformed(line: Int)
  /// The `errno` of opening or reading it.
  case unreadable(Int32)
  /// The `errno` of writing it.
  case unwritable(Int32)
  /// Another process holds its lock.
  case busy
  /// It is larger than it may be, or would become so.
  case full
}
