import Glibc
import QuicTransport

/// A file on its way out, from its front to the size that it had when it was opened.
final class ServedFile {
  let size: Int
  private(set) var remaining: Int
  private let descriptor: FileDescriptor

  /// Nil when it is not a regular file.
  init?(_ descriptor: consuming FileDescriptor) {
    var status = stat()
    guard fstat(descriptor.raw, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      return nil
    }
    size = Int(status.st_size)
    remaining = size
    self.descriptor = descriptor
  }

  /// Reads the next bytes; zero when the file ended early or cannot be read.
  func take(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    let count = Glibc.read(descriptor.raw, buffer.baseAddress, min(buffer.count, remaining))
    guard count > 0 else { return 0 }
    remaining -= count
    return count
  }
}

extension ServedFile: HTTP3Body {
  func read(into buffer: UnsafeMutableRawBufferPointer) -> HTTP3BodyPart {
    guard remaining > 0 else { return .bytes(0, isLast: true) }
    let count = take(into: buffer)
    // The file became shorter than its announced length.
    return count > 0 ? .bytes(count, isLast: remaining == 0) : .failed
  }
}
