import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Tokens of relays")
struct RelayTokenTests {
  private static let relay = Identity.fixture(9).publicKey

  @Test("a token is read as it was written, and is for one relay alone")
  func roundTrip() throws {
    let token = RelayToken(relay: Self.relay)
    let read = try #require(RelayToken(token.text))
    #expect(read.text == token.text && read.digest == token.digest && token.text.utf8.count == 64)
    #expect(read.isFor(Self.relay) && !read.isFor(Identity.fixture(8).publicKey))
    #expect(RelayToken(relay: Self.relay).digest != token.digest)
  }

  @Test("a slip in any place is noticed, and nothing but a token is one")
  func slips() {
    let text = Array(RelayToken(relay: Self.relay).text.utf8)
    for index in text.indices {
      var slip = text
      slip[index] = slip[index] == UInt8(ascii: "a") ? UInt8(ascii: "b") : UInt8(ascii: "a")
      #expect(RelayToken(String(decoding: slip, as: UTF8.self)) == nil)
      #expect(RelayToken(String(decoding: text.prefix(index), as: UTF8.self)) == nil)
    }
    #expect(RelayToken(String(decoding: text + text, as: UTF8.self)) == nil)
  }

  @Test("what is kept of it does not hold it")
  func digest() throws {
    let token = RelayToken(relay: Self.relay)
    var list = TokenList()
    let record = TokenList.Record(
      token, scope: .everything, label: "anna\tk", created: 5, expiry: 9)
    try list.add(record, now: 0)
    let text = String(decoding: list.text, as: UTF8.self)
    let secret = token.secret.withBytes { Base32.encode(Array($0)) }
    #expect(!text.contains(secret) && !text.contains(token.text.dropFirst(RelayToken.prefix.count)))
    let read = try TokenList(text: list.text)
    #expect(read == list && read.token(digest: token.digest)?.label == "anna\tk")
    #expect(read.tokens[0].status(at: 8) == .valid && read.tokens[0].status(at: 9) == .expired)
  }

  @Test("half a list, a line that is doubled or not understood are refused whole")
  func damaged() throws {
    var list = TokenList()
    for _ in 0..<3 {
      try list.add(
        TokenList.Record(
          RelayToken(relay: Self.relay), scope: .everything, label: "", created: 1, expiry: 0),
        now: 0)
    }
    let text = list.text
    for count in 0..<text.count {
      #expect(throws: AccessFileError.self) { try TokenList(text: Array(text.prefix(count))) }
    }
    let lines = String(decoding: text, as: UTF8.self).split(separator: "\n")
    let doubled = (lines.prefix(2) + lines.dropFirst()).joined(separator: "\n") + "\n"
    #expect(throws: AccessFileError.malformed(line: 3)) {
      try TokenList(text: Array(doubled.utf8))
    }
  }

  @Test("where there is no room, one that is worth nothing has to go; else nothing does")
  func full() throws {
    var list = TokenList()
    func add() throws {
      try list.add(
        TokenList.Record(
          RelayToken(relay: Self.relay), scope: .everything, label: "", created: 1, expiry: 0),
        now: 2)
    }
    for _ in 0..<TokenList.tokensMax { try add() }
    #expect(throws: AccessFileError.full) { try add() }
    let useless = list.tokens[5].id
    #expect(list.revoke(useless) && list.token(useless)?.isRevoked == true)
    try add()
    #expect(list.token(useless) == nil && list.tokens.count == TokenList.tokensMax)
  }

  @Test("a scope allows what it names and nothing else")
  func scope() throws {
    let scope = try #require(
      RelayScope(
        relays: true, ports: [80...80, 10_000...10_100],
        names: ["Host.Example.org", "*.dev.example.org"], bytesPerSecond: nil))
    #expect([80, 10_000, 10_100].allSatisfy { scope.allows(port: $0) })
    #expect([0, 79, 81, 9_999, 10_101].allSatisfy { !scope.allows(port: $0) })
    #expect(scope.allows(name: "host.example.ORG."))
    #expect(scope.allows(name: "a.b.dev.example.org"))
    for name in ["dev.example.org", "example.org", "xhost.example.org", "", "10.0.0.1", "*"] {
      #expect(!scope.allows(name: name), "\(name)")
    }
    #expect(RelayScope.everything.allows(name: "a.b") && RelayScope.everything.allows(port: 1))
    #expect(!RelayScope.everything.allows(name: "not a name"))
  }

  @Test("a scope of nonsense is none")
  func nonsense() {
    for name in ["10.0.0.0/8", "a b", "*.*", "", "[::1]", "a,b"] {
      #expect(
        RelayScope(relays: true, ports: [], names: [name], bytesPerSecond: nil) == nil, "\(name)")
    }
    #expect(RelayScope(relays: true, ports: [0...5], names: [], bytesPerSecond: nil) == nil)
    #expect(RelayScope(relays: true, ports: [], names: [], bytesPerSecond: 0) == nil)
    let many = [String](repeating: "a.b", count: RelayScope.entriesMax + 1)
    #expect(RelayScope(relays: true, ports: [], names: many, bytesPerSecond: nil) == nil)
  }
}
