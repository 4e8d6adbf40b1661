import Glibc
import QuicTransport

/// The directory that a client puts files into.
struct Downloads {
  let path: String

  /// Creates an empty file of this name, or empties the one there is.
  func create(_ name: String) throws(InteropError) -> DownloadedFile {
    guard name != ".", name != "..", !name.isEmpty, !name.contains("/") else {
      throw .failed("'\(name)' is no file name")
    }
    let target = "\(path)/\(name)"
    let raw = open(target, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0o644)
    guard raw >= 0 else {
      throw .failed("cannot create \(target): \(String(cString: strerror(errno)))")
    }
    return DownloadedFile(FileDescriptor(owning: raw), path: target)
  }
}
