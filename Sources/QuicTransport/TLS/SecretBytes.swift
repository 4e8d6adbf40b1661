internal import Glibc

/// Key material in memory that is wiped when the last owner lets go; it never prints.
public final class SecretBytes: Sendable, CustomStringConvertible {
  // SAFETY: written in init only, freed in deinit only; shared reads of immutable memory.
  nonisolated(unsafe) private let storage: UnsafeMutableRawBufferPointer

  /// Copies `bytes`; wiping the source is the caller's business.
  public init(_ bytes: some Collection<UInt8>) {
    storage = .allocate(byteCount: bytes.count, alignment: 8)
    storage.copyBytes(from: bytes)
  }

  deinit {
    if let base = storage.baseAddress { explicit_bzero(base, storage.count) }
    storage.deallocate()
  }

  /// How many bytes there are; not a secret.
  public var count: Int { storage.count }

  /// Lends the bytes; they must not leave `body`.
  public func withBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try body(UnsafeRawBufferPointer(storage))
  }

  /// Compares in time that depends on the length only.
  public func matches(_ other: UnsafeRawBufferPointer) -> Bool {
    guard other.count == count else { return false }
    var difference: UInt8 = 0
    for index in 0..<count { difference |= storage[index] ^ other[index] }
    return difference == 0
  }

  /// Never the content.
  public var description: String { "<secret>" }
}
