import Testing

@testable import Tunnel

@Suite("A lock on a file")
struct FileLockTests {
  @Test("one has it; another may when the first lets go, and the file stays")
  func takesTurns() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("new/leases.lock")
    var first: FileLock? = try FileLock.take(path)
    #expect(throws: AccessFileError.busy) { _ = try FileLock.take(path) }
    withExtendedLifetime(first) {}
    first = nil
    let second = try FileLock.take(path)
    withExtendedLifetime(second) {}
  }

  @Test("a lock that cannot be had is told with the reason")
  func impossible() throws {
    let folder = try TemporaryFolder()
    #expect(throws: AccessFileError.self) { _ = try FileLock.take(folder.path) }
  }
}
