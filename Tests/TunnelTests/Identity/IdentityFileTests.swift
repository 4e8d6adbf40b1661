import Glibc
import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Identity file")
struct IdentityFileTests {
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
  }

  @Test("a new identity is for its owner's eyes only, in folders that are too")
  func creation() throws {
    let path = folder.file("a/b/identity")
    let (identity, isNew) = try IdentityFile.loadOrCreate(path: path)
    #expect(isNew)
    #expect(TemporaryFolder.mode(path) == S_IFREG | 0o600)
    #expect(TemporaryFolder.mode(folder.file("a")) == S_IFDIR | 0o700)
    #expect(TemporaryFolder.mode(folder.file("a/b")) == S_IFDIR | 0o700)
    // Nothing temporary stays behind.
    #expect(TemporaryFolder.list(folder.file("a/b")) == ["identity"])
    let (again, isNewAgain) = try IdentityFile.loadOrCreate(path: path)
    #expect(!isNewAgain)
    #expect(again.publicKey == identity.publicKey)
  }

  @Test("a file that is not there is missing")
  func missing() {
    #expect(throws: IdentityFileError.missing) { try load("none") }
    #expect(throws: IdentityFileError.missing) { try load("no/such/folder") }
  }

  @Test(
    "a file that anybody else may touch is refused",
    arguments: [0o644, 0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o777] as [mode_t])
  func exposed(mode: mode_t) throws {
    try folder.write(pem(), to: "identity", mode: mode)
    #expect(throws: IdentityFileError.exposed(mode: mode)) { try load("identity") }
    // It is not replaced either.
    #expect(throws: IdentityFileError.exposed(mode: mode)) {
      try IdentityFile.loadOrCreate(path: folder.file("identity"))
    }
  }

  @Test("a file that its owner alone may read is accepted", arguments: [0o600, 0o400, 0o700])
  func guarded(mode: Int) throws {
    try folder.write(pem(), to: "identity", mode: mode_t(mode))
    #expect(try load("identity").publicKey == Identity.fixture(1).publicKey)
  }

  @Test("what holds no Ed25519 key is malformed")
  func malformed() throws {
    let good = pem()
    let samples: [[UInt8]] = [
      [], [0], Array("hello".utf8), Array(good.prefix(good.count / 2)), Array(good.dropFirst(30)),
      Array("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".utf8),
      [UInt8](repeating: 0x0a, count: 17 * 1_024),
      good + [UInt8](repeating: 0x0a, count: 16 * 1_024),
    ]
    for (index, sample) in samples.enumerated() {
      try folder.write(sample, to: "identity", mode: 0o600)
      #expect(throws: IdentityFileError.malformed, "sample \(index)") { try load("identity") }
    }
  }

  @Test(
    "a folder or a pipe in its place is malformed, and is not waited for", .timeLimit(.minutes(1)))
  func notAFile() throws {
    #expect(throws: IdentityFileError.malformed) { try load("") }
    #expect(mkfifo(folder.file("pipe"), 0o600) == 0)
    #expect(throws: IdentityFileError.malformed) { try load("pipe") }
  }

  @Test("a path through a file can neither be read nor written")
  func throughFile() throws {
    try folder.write([1], to: "file", mode: 0o600)
    #expect(throws: IdentityFileError.unreadable(ENOTDIR)) { try load("file/identity") }
    #expect(throws: IdentityFileError.unwritable(ENOTDIR)) {
      try IdentityFile.create(.fixture(1), path: folder.file("file/identity"), replacing: false)
    }
  }

  @Test("an identity is replaced only on request, and then whole")
  func replacing() throws {
    let path = folder.file("identity")
    try IdentityFile.create(.fixture(1), path: path, replacing: false)
    #expect(throws: IdentityFileError.exists) {
      try IdentityFile.create(.fixture(2), path: path, replacing: false)
    }
    #expect(try load("identity").publicKey == Identity.fixture(1).publicKey)
    try IdentityFile.create(.fixture(2), path: path, replacing: true)
    #expect(try load("identity").publicKey == Identity.fixture(2).publicKey)
    #expect(TemporaryFolder.mode(path) == S_IFREG | 0o600)
    #expect(TemporaryFolder.list(folder.path) == ["identity"])
  }

  @Test("what an interrupted run left behind is in nobody's way")
  func leftovers() throws {
    // A container gives every run the same process number.
    try folder.write([], to: "identity.\(getpid()).new", mode: 0o600)
    let (_, isNew) = try IdentityFile.loadOrCreate(path: folder.file("identity"))
    #expect(isNew)
  }

  @Test(
    "of many that create it at once, one wins and all get its identity", .timeLimit(.minutes(1)))
  func concurrentCreation() async throws {
    let path = folder.file("identity")
    let results = try await withThrowingTaskGroup(of: (PublicKey, Bool).self) { group in
      for _ in 0..<16 {
        group.addTask {
          let (identity, isNew) = try IdentityFile.loadOrCreate(path: path)
          return (identity.publicKey, isNew)
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(results.filter(\.1).count == 1)
    #expect(Set(results.map(\.0)).count == 1)
    #expect(TemporaryFolder.list(folder.path) == ["identity"])
  }

  private func load(_ name: String) throws(IdentityFileError) -> Identity {
    try IdentityFile.load(path: folder.file(name))
  }

  private func pem() -> [UInt8] {
    Identity.fixture(1).pem.withBytes { Array($0) }
  }
}
