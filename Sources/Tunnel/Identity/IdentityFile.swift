internal import Glibc
public import QuicTransport

/// The file that holds a node's identity: a PKCS #8 PEM, readable by its owner only.
public enum IdentityFile {
  /// Reads the identity at `path`, or makes one there if there is none.
  ///
  /// - Returns: the identity, and whether it is new.
  public static func loadOrCreate(path: String) throws(IdentityFileError) -> (Identity, Bool) {
    do throws(IdentityFileError) {
      return (try load(path: path), false)
    } catch .missing {
      let identity = Identity.generate()
      do throws(IdentityFileError) {
        try create(identity, path: path, replacing: false)
      } catch .exists {
        // Another process was faster.
        return (try load(path: path), false)
      }
      return (identity, true)
    }
  }

  /// Reads an identity. As ssh does, it refuses a file that others can read.
  public static func load(path: String) throws(IdentityFileError) -> Identity {
    // Opening a pipe that nobody writes to would wait for ever.
    let raw = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard raw >= 0 else {
      throw errno == ENOENT ? .missing : .unreadable(errno)
    }
    let descriptor = FileDescriptor(owning: raw)
    var status = stat()
    guard fstat(descriptor.raw, &status) == 0 else { throw .unreadable(errno) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .malformed }
    guard status.st_mode & 0o077 == 0 else { throw .exposed(mode: status.st_mode & 0o777) }
    var bytes = [UInt8](repeating: 0, count: sizeMax + 1)
    let count = read(descriptor.raw, &bytes, bytes.count)
    guard count >= 0 else { throw .unreadable(errno) }
    let pem = SecretBytes(bytes.prefix(count))
    explicit_bzero(&bytes, bytes.count)
    guard count <= sizeMax, let identity = Identity(pem: pem) else { throw .malformed }
    return identity
  }

  /// Writes an identity with mode 0600, by a temporary file that is synced and then put in place.
  ///
  /// - Parameter replacing: whether a file that is there may be replaced.
  public static func create(_ identity: Identity, path: String, replacing: Bool)
    throws(IdentityFileError)
  {
    let code = PrivateFile.makeFolders(of: path)
    guard code == 0 else { throw .unwritable(code) }
    // Random, because an interrupted run leaves its file behind, and another thread may be here too.
    let temporary = "\(path).\(Base32.encode(Crypto.random(10))).new"
    let raw = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard raw >= 0 else { throw .unwritable(errno) }
    defer { unlink(temporary) }
    let descriptor = FileDescriptor(owning: raw)
    let isWritten = identity.pem.withBytes { pem in
      write(descriptor.raw, pem.baseAddress, pem.count) == pem.count
    }
    guard isWritten, fsync(descriptor.raw) == 0 else { throw .unwritable(errno) }
    // link() fails where rename() would replace.
    let result = replacing ? rename(temporary, path) : link(temporary, path)
    guard result == 0 else { throw errno == EEXIST ? .exists : .unwritable(errno) }
    // Else a loss of power takes the key back, and with it every ticket that was printed.
    PrivateFile.syncFolder(of: path)
  }

  /// A PKCS #8 file of an Ed25519 key has about 120 bytes.
  private static let sizeMax = 16 * 1024
}

/// Why an identity file cannot be used.
public enum IdentityFileError: Error, Equatable, Sendable {
  case missing
  case exists
  /// Others than its owner can read it; its permission bits.
  case exposed(mode: UInt32)
  /// It holds no Ed25519 private key in PKCS #8 PEM.
  case malformed
  /// The `errno` of opening or reading it.
  case unreadable(Int32)
  /// The `errno` of writing it.
  case unwritable(Int32)
}
