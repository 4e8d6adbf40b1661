internal import Glibc
internal import QuicTransport
internal import Tunnel

/// The file with the secret of a group of sharers: one line.
enum PublicGroupFile {
  /// Reads it, or makes one with a secret of 256 bits.
  static func loadOrCreate(path: String, balance: Balance) throws(Failure) -> PublicGroup {
    let line: String
    do throws(SecretLineError) {
      line = try SecretLine.read(path: path)
    } catch {
      guard error == .unreadable(ENOENT) else { throw Failure(error, path: path) }
      return PublicGroup(secret: SecretBytes(try create(path)), balance: balance)
    }
    guard line.utf8.count >= secretMin else {
      throw Failure(
        .configuration, "the secret in \(path) has less than \(secretMin) characters",
        fix: "remove the file, so that a new one is made, and copy that to the others")
    }
    return PublicGroup(secret: SecretBytes(Array(line.utf8)), balance: balance)
  }

  private static func create(_ path: String) throws(Failure) -> [UInt8] {
    let secret = Array(Base32.encode(Crypto.random(32)).utf8)
    do throws(AccessFileError) {
      try PrivateFile.write(path, bytes: secret + Array("\n".utf8))
    } catch {
      var code = EIO
      if case .unwritable(let number) = error { code = number }
      throw Failure(
        .configuration, "cannot write \(path): \(Failure.systemMessage(code))",
        fix: "name a file in a folder that this user can write to")
    }
    return secret
  }

  /// Too long to be guessed, whatever it is made of.
  private static let secretMin = 16
}
