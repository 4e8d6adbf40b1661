import Glibc
import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Allow list")
struct AllowListTests {
  private static let one = Identity.fixture(1).publicKey
  private static let two = Identity.fixture(2).publicKey

  @Test("identities, comments, words behind them and empty lines")
  func parse() throws {
    let text =
      "# people\n\n\(Self.one) anna, laptop\r\n  \(Self.two.description.uppercased())\n \t\n"
    #expect(try AllowList.parse(Array(text.utf8)) == [Self.one, Self.two])
    #expect(try AllowList.parse([]) == [])
  }

  @Test("a line that is no identity is named, and nothing of the file counts")
  func malformed() {
    let text = "\(Self.one)\n\(Self.two.description.dropLast())\n"
    #expect(throws: AccessFileError.malformed(line: 2)) { try AllowList.parse(Array(text.utf8)) }
    #expect(throws: AccessFileError.malformed(line: 1)) { try AllowList.parse([0xff, 0xfe]) }
  }

  @Test("a file that changed is read again; one that became bad counts as it was, and is told once")
  func refresh() throws {
    let folder = try TemporaryFolder()
    try folder.write(Array("\(Self.one)\n".utf8), to: "allow", mode: 0o644)
    var list = try AllowList(keys: [], files: [folder.file("allow")])
    #expect(list.contains(Self.one) && !list.contains(Self.two))
    try folder.write(Array("\(Self.two) \n#\n".utf8), to: "allow", mode: 0o644)
    let changed = list.refresh()
    #expect(changed == [])
    #expect(!list.contains(Self.one) && list.contains(Self.two) && list.isUsable)
    try folder.write(Array("bad\n".utf8), to: "allow", mode: 0o644)
    let problem = AccessProblem(.identities, path: folder.file("allow"), error: .malformed(line: 1))
    let damaged = list.refresh()
    #expect(damaged == [problem])
    let again = list.refresh()
    #expect(again == [])
    #expect(!list.isUsable && list.contains(Self.two))
    unlink(folder.file("allow"))
    let removed = list.refresh()
    #expect(removed.map(\.error) == [.missing])
    try folder.write(Array("\(Self.one)\n".utf8), to: "allow", mode: 0o600)
    let repaired = list.refresh()
    #expect(repaired == [])
    #expect(list.isUsable && list.contains(Self.one))
  }

  @Test("a file that others may write decides nothing")
  func exposed() throws {
    let folder = try TemporaryFolder()
    try folder.write(Array("\(Self.one)\n".utf8), to: "allow", mode: 0o664)
    #expect(
      throws: AccessProblem(.identities, path: folder.file("allow"), error: .exposed(mode: 0o664))
    ) { try AllowList(keys: [], files: [folder.file("allow")]) }
  }
}
