import Glibc
import QuicTransport

/// The directory whose files a server may send, and nothing outside of it.
final class DocumentRoot {
  private let directory: FileDescriptor

  /// - Throws: `InteropError.failed` when there is no such directory.
  init(_ path: String) throws(InteropError) {
    let raw = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard raw >= 0 else {
      throw .failed("cannot open \(path): \(String(cString: strerror(errno)))")
    }
    directory = FileDescriptor(owning: raw)
  }

  /// Opens the regular file that `path` of a request names; nil when there is none.
  ///
  /// The path is walked part by part below our own descriptor and no symbolic link is followed, so
  /// that there is no way out, also when someone changes the directory meanwhile.
  func file(at path: some StringProtocol) -> ServedFile? {
    let parts = path.split(separator: "/")
    guard parts.count <= Self.depthMax, let name = parts.last,
      parts.allSatisfy({ $0 != "." && $0 != ".." && !$0.utf8.contains(0) })
    else { return nil }
    var parent = dup(directory.raw)
    for part in parts.dropLast() {
      let next = openat(parent, String(part), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
      if parent >= 0 { close(parent) }
      parent = next
    }
    guard parent >= 0 else { return nil }
    defer { close(parent) }
    // Without O_NONBLOCK the opening of a FIFO would wait.
    let raw = openat(parent, String(name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
    return raw >= 0 ? ServedFile(FileDescriptor(owning: raw)) : nil
  }

  private static let depthMax = 16
}
