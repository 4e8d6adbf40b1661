import Glibc
import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Ledger file")
struct LedgerFileTests {
  private let folder: TemporaryFolder
  private let file: LedgerFile

  init() throws {
    folder = try TemporaryFolder()
    file = LedgerFile(besideIdentity: folder.file("identity"))
    try folder.write([], to: "identity", mode: 0o600)
  }

  @Test("it is for its owner alone, and nothing temporary stays behind")
  func mode() throws {
    #expect(throws: AccessFileError.missing) { try file.load() }
    #expect(try file.loadOrEmpty() == Ledger())
    try add(1)
    #expect(TemporaryFolder.mode(file.path) == S_IFREG | 0o600)
    #expect(TemporaryFolder.list(folder.path) == ["identity", "identity.access"])
    #expect(try file.load().list.tickets.count == 1)
    try file.update(patience: .zero) { ledger throws(AccessFileError) in ledger = Ledger() }
    #expect(TemporaryFolder.list(folder.path) == ["identity"])
  }

  @Test("one that others may touch, that is damaged or too large is refused and not replaced")
  func refused() throws {
    try add(1)
    chmod(file.path, 0o644)
    #expect(throws: AccessFileError.exposed(mode: 0o644)) { try add(2) }
    try folder.write(Array("nonsense".utf8), to: "identity.access", mode: 0o600)
    #expect(throws: AccessFileError.malformed(line: 1)) { try add(2) }
    let large = [UInt8](repeating: 0x61, count: 5 << 20)
    try folder.write(large, to: "identity.access", mode: 0o600)
    #expect(throws: AccessFileError.full) { try add(2) }
    #expect(TemporaryFolder.list(folder.path).count == 2)
  }

  @Test("each change has another stamp")
  func stamp() throws {
    try add(0)
    var stamp = try file.load().stamp
    for number in 1..<50 {
      try add(UInt64(number))
      let next = try file.load().stamp
      #expect(next != stamp)
      stamp = next
    }
  }

  @Test("of two writers each waits for the other, and nothing is lost", .timeLimit(.minutes(1)))
  func race() async throws {
    let file = file
    try await withThrowingTaskGroup(of: Void.self) { group in
      for writer in 0..<4 {
        group.addTask {
          for number in 0..<25 {
            let id = GrantID(number: UInt64(writer * 1_000 + number))
            guard let grant = Grant(id: id, expiry: 0, uses: 0, services: []) else { return }
            let record = Ledger.TicketRecord(grant: grant, label: "", created: 1)
            try file.update(patience: .seconds(30)) { ledger throws(AccessFileError) in
              try ledger.add(record, now: 1)
            }
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(try file.load().list.tickets.count == 100)
  }

  @Test("a writer that never ends costs the patience, and no more")
  func busy() throws {
    let raw = open(folder.file("identity"), O_RDONLY)
    defer { close(raw) }
    #expect(flock(raw, LOCK_EX) == 0)
    #expect(throws: AccessFileError.busy) { try add(1, patience: .milliseconds(4)) }
    flock(raw, LOCK_UN)
    try add(1, patience: .zero)
  }

  private func add(_ number: UInt64, patience: Duration = .seconds(5)) throws {
    let grant = Grant(id: GrantID(number: number), expiry: 0, uses: 0, services: [])
    let record = Ledger.TicketRecord(grant: try #require(grant), label: "", created: 1)
    try file.update(patience: patience) { ledger throws(AccessFileError) in
      try ledger.add(record, now: 1)
    }
  }
}
