internal import Glibc

/// A descriptor that is closed exactly once, when its owner goes away.
public struct FileDescriptor: ~Copyable, Sendable {
  /// The number that system calls take. Never close it.
  public let raw: Int32

  /// Takes ownership of an open descriptor.
  public init(owning raw: Int32) {
    precondition(raw >= 0)
    self.raw = raw
  }

  /// Takes ownership of what a system call returned, or throws its `errno`.
  public init(checking raw: Int32, _ call: StaticString) throws(RuntimeError) {
    guard raw >= 0 else { throw .system(call, errno) }
    self.raw = raw
  }

  deinit {
    close(raw)
  }
}
