import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Names, balance and headers of public places")
struct PublicVocabularyTests {
  @Test("names have one form")
  func canonical() {
    for (written, name) in [
      ("App.Example.COM", "app.example.com"), ("example.com.", "example.com"),
      ("x_y.example", "x_y.example"), ("localhost", "localhost"),
    ] {
      #expect(PublicName.canonical(written) == name)
    }
    let long = String(repeating: "a", count: 64)
    for written in [
      "", ".", "a..b", "-a.example", "a-.example", "a b", "192.0.2.1", "*.example.com",
      "\(long).com",
      "ä.example", "a/b", "a:80", String(repeating: "a.", count: 127) + "ab",
    ] {
      #expect(PublicName.canonical(written) == nil, "\(written)")
    }
  }

  @Test("rules open exactly what they name")
  func rules() throws {
    let rules = try NameRules(["App.example.com", "*.dev.example.com"])
    for name in ["app.example.com", "x.dev.example.com", "x.y.dev.example.com"] {
      #expect(rules.permit(name))
    }
    for name in ["example.com", "dev.example.com", "xdev.example.com", "x.app.example.com", "*"] {
      #expect(!rules.permit(name))
    }
    #expect(try NameRules(["*"]).permit("any.thing") && NameRules(["*"]).permit("*"))
    for pattern in ["*.", "*", "a.*.b", "**.a.b"].filter({ $0 != "*" }) {
      #expect(throws: NameRuleError(pattern: pattern)) { try NameRules([pattern]) }
    }
  }

  @Test("healthy ones first, each once, and equals take turns", arguments: Balance.allCases)
  func balance(balance: Balance) {
    var candidates = (0..<4).map { _ in
      Balance.Candidate(
        connections: 1, roundTrip: .milliseconds(10), isHealthy: true, wasTried: false)
    }
    let turns = (0..<8).compactMap { balance.choose(among: candidates, turn: $0) }
    #expect(turns == [0, 1, 2, 3, 0, 1, 2, 3])
    candidates[2].isHealthy = false
    #expect(Set((0..<8).compactMap { balance.choose(among: candidates, turn: $0) }) == [0, 1, 3])
    for index in [0, 1, 3] { candidates[index].wasTried = true }
    #expect(balance.choose(among: candidates, turn: 5) == 2)
    candidates[2].wasTried = true
    #expect(balance.choose(among: candidates, turn: 0) == nil)
    #expect(balance.choose(among: [], turn: 0) == nil)
  }

  @Test("a header is read as it was written, and not before it is whole")
  func header() {
    let header = PublicHeader(
      listener: 300, source: .otherHost.with(port: 7), destination: .serverHostIPv6.with(port: 80))
    let bytes = header.encoded
    #expect(PublicHeader.decode(bytes + [1, 2]) == .header(header, count: bytes.count))
    for count in 0..<bytes.count {
      #expect(PublicHeader.decode(Array(bytes.prefix(count))) == .needsMore)
    }
    #expect(PublicHeader.decode([3, 0]) == .malformed)
  }

  @Test("groups show each relay something else")
  func group() {
    let group = PublicGroup(secret: SecretBytes([UInt8](0..<32)), balance: .roundRobin)
    let (one, two) = (Identity.fixture(1).publicKey, Identity.fixture(2).publicKey)
    #expect(group.proof(for: one) != group.proof(for: two))
    #expect(group.proof(for: one).count == PublicRequest.groupCount)
  }
}
