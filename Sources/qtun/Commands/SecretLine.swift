internal import Glibc

/// The first line of a file that holds a secret.
enum SecretLine {
  /// Reads it; a file that others can read is refused.
  static func read(path: String) throws(SecretLineError) -> String {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw .unreadable(errno) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw .unreadable(errno) }
    // A pipe, as of a shell's process substitution, is nobody else's.
    let mode = status.st_mode & 0o777
    if status.st_mode & S_IFMT == S_IFREG, mode & 0o077 != 0 { throw .exposed(mode: mode) }
    if status.st_mode & S_IFMT == S_IFIFO { _ = fcntl(descriptor, F_SETFL, O_RDONLY) }
    var bytes = [UInt8](repeating: 0, count: sizeMax)
    var count = 0
    while count < sizeMax, !bytes[..<count].contains(UInt8(ascii: "\n")) {
      let result = bytes.withUnsafeMutableBytes { buffer in
        Glibc.read(descriptor, buffer.baseAddress.unsafelyUnwrapped + count, sizeMax - count)
      }
      if result < 0, errno == EINTR { continue }
      guard result >= 0 else { throw .unreadable(errno) }
      if result == 0 { break }
      count += result
    }
    let line = bytes[..<count].prefix { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
    return String(decoding: line, as: UTF8.self)
  }

  private static let sizeMax = 4_096
}

/// Why a secret cannot be read.
enum SecretLineError: Error, Equatable {
  case unreadable(Int32)
  /// Others may read it, by these permissions.
  case exposed(mode: UInt32)
}

extension Failure {
  /// What is wrong with a file that holds a secret.
  init(_ error: SecretLineError, path: String) {
    switch error {
    case .unreadable(let code):
      self.init(
        .configuration, "cannot read \(path): \(Failure.systemMessage(code))",
        fix: "check the name, the owner and the permissions of the folders above it")
    case .exposed(let mode):
      self.init(
        .configuration, "others can read \(path) (mode 0\(String(mode, radix: 8)))",
        fix: "chmod 600 \(path), and put another secret into it if others may have read this one")
    }
  }
}
