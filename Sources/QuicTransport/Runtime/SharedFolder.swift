internal import CNgtcp2
internal import Glibc

/// A folder whose files can be read, and nothing outside of it: the kernel keeps every path beneath
/// (openat2(2) with RESOLVE_BENEATH), whatever `..` and symbolic links say.
public final class SharedFolder {
  private let descriptor: FileDescriptor

  /// Opens the folder itself.
  ///
  /// - Throws: `RuntimeError.system` with ENOENT, ENOTDIR, EACCES and the like; ENOSYS before
  ///   Linux 5.6.
  public init(path: String) throws(RuntimeError) {
    descriptor = try FileDescriptor(
      checking: Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open")
    // Better now than with the first request.
    _ = try open(".")
  }

  /// Opens a file or a folder for reading.
  ///
  /// - Parameter path: relative; a byte of zero ends it.
  public func open(_ path: String) throws(RuntimeError) -> SharedFile {
    var file = qtun_file()
    let result = qtun_open_beneath(descriptor.raw, path, &file)
    guard result >= 0 else { throw .system("openat2", -result) }
    return SharedFile(owning: result, file)
  }
}

/// An open file or folder below a `SharedFolder`.
public final class SharedFile {
  /// What it is.
  public let kind: Kind
  /// Bytes, when it was opened.
  public let size: UInt64
  /// Seconds since 1970 of its last change.
  public let modified: Int64

  private let descriptor: FileDescriptor

  /// What can be done with it.
  public enum Kind: Sendable {
    case file
    case folder
    /// A FIFO, a device, a socket: nothing.
    case other
  }

  init(owning raw: Int32, _ file: qtun_file) {
    descriptor = FileDescriptor(owning: raw)
    kind = file.is_folder ? .folder : file.is_regular ? .file : .other
    size = file.size
    modified = file.modified
  }

  /// Bytes from `offset` on: as many as fit, fewer at the end of the file. Waits for the disk where
  /// the kernel has not read ahead.
  public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64)
    throws(RuntimeError)
    -> Int
  {
    let count = pread(descriptor.raw, buffer.baseAddress, buffer.count, off_t(offset))
    guard count >= 0 else { throw .system("pread", errno) }
    return count
  }

  /// The names in a folder and whether each is a folder itself, in no order, `count` at most; `.`
  /// and `..` are not among them.
  public func entries(count: Int) throws(RuntimeError) -> [(name: String, isFolder: Bool)] {
    let copy = fcntl(descriptor.raw, F_DUPFD_CLOEXEC, 3)
    guard copy >= 0 else { throw .system("dup", errno) }
    guard let stream = fdopendir(copy) else {
      let code = errno
      close(copy)
      throw .system("fdopendir", code)
    }
    defer { closedir(stream) }
    var entries: [(name: String, isFolder: Bool)] = []
    while entries.count < count, let entry = readdir(stream) {
      // SAFETY: readdir ends the name with a zero byte; the copy ends before the next call.
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      guard name != ".", name != ".." else { continue }
      entries.append((name, Int(entry.pointee.d_type) == Int(DT_DIR)))
    }
    return entries
  }
}
