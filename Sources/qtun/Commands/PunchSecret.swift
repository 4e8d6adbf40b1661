internal import Glibc
internal import QuicTransport

/// Where the secret of `qtun punch` comes from.
enum PunchSecret {
  /// Far above any secret or template; what is longer is another file.
  static let bytesMax = 1 << 16

  /// The secret, and what the user should know about it; wiped from the list of processes.
  static func read(
    _ settings: PunchSettings
  ) throws(PunchError) -> (secret: [UInt8], notice: String?) {
    if let secret = settings.secret {
      for word in [secret, "-secret=\(secret)", "--secret=\(secret)"] {
        ProcessArguments.hide(word)
      }
    }
    guard let path = settings.secretFile else { return (Array((settings.secret ?? "").utf8), nil) }
    var bytes = try contents(path, flag: "-secret-file")
    var notice: String?
    if !settings.keepsSecretNewline, bytes.last == UInt8(ascii: "\n") {
      bytes.removeLast()
      if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
      notice =
        "the newline at the end of the secret file does not count here; where netpunch itself "
        + "reads such a file it does: use -secret-file-exact then"
    }
    guard !bytes.isEmpty else { throw PunchError("-secret-file: \(path) is empty") }
    return (bytes, notice)
  }

  /// The bytes of a file.
  static func contents(_ path: String, flag: String) throws(PunchError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw PunchError("\(flag): cannot read \(path): \(Failure.systemMessage(errno))")
    }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: bytesMax + 1)
    var count = 0
    while count < bytes.count {
      let more = bytes[count...].withUnsafeMutableBytes {
        Glibc.read(descriptor, $0.baseAddress, $0.count)
      }
      if more < 0, errno == EINTR { continue }
      guard more >= 0 else {
        throw PunchError("\(flag): cannot read \(path): \(Failure.systemMessage(errno))")
      }
      if more == 0 { break }
      count += more
    }
    guard count <= bytesMax else {
      throw PunchError("\(flag): \(path) has more than \(bytesMax) bytes")
    }
    return Array(bytes[..<count])
  }
}
