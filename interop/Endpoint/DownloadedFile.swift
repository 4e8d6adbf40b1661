import Glibc
import QuicTransport

/// A file on its way in.
final class DownloadedFile {
  private let descriptor: FileDescriptor
  private let path: String

  init(_ descriptor: consuming FileDescriptor, path: String) {
    self.descriptor = descriptor
    self.path = path
  }

  /// Writes `bytes` to the end.
  func append(_ bytes: UnsafeRawBufferPointer) throws(InteropError) {
    var rest = bytes
    while !rest.isEmpty {
      let count = write(descriptor.raw, rest.baseAddress, rest.count)
      guard count > 0 else {
        throw .failed("cannot write \(path): \(String(cString: strerror(errno)))")
      }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
  }
}
