import Testing
import Tunnel

@testable import qtun

@Suite("Command line of relays")
struct RelayParserTests {
  private func parse(
    _ words: [String], _ variables: [String: String] = [:]
  ) throws(UsageError) -> Invocation.Action {
    let environment = Environment(["HOME": "/home/u"].merging(variables) { $1 })
    return try CommandLineParser.parse(words, environment: environment).action
  }

  private func causes(_ words: String...) -> String {
    do throws(UsageError) {
      _ = try parse(words)
      return ""
    } catch {
      return error.complaints.map { "\($0.cause): \($0.fix)" }.joined(separator: "; ")
    }
  }

  @Test("a relay takes limits by name, and each has a row on the help page")
  func limits() throws {
    guard
      case .relay(let settings) = try parse([
        "relay", "--limit", "nodes=7", "--limit=rate-per-session=8mbit", "--open", "--drain", "0s",
        "--admin", "9478", "--cores", "3",
      ])
    else {
      Issue.record("not a relay")
      return
    }
    #expect(settings.limits[.nodes] == 7 && settings.limits[.ratePerSession] == 1_000_000)
    #expect(settings.limits[.guests] == RelayLimits()[.guests] && settings.isOpen)
    #expect(settings.admin?.description == "127.0.0.1:9478" && settings.drain == .zero)
    #expect(settings.cores == 3)
    for word in ["0", "65", "all", "1.5"] {
      #expect(causes("relay", "--cores", word).contains("is not a number from 1 to 64"), "\(word)")
    }
    for limit in RelayLimit.allCases {
      #expect(HelpTopic.limits.text.contains("\n  \(limit.rawValue) "), "\(limit)")
      #expect(limit.range.contains(RelayLimits()[limit]))
    }
  }

  @Test("rates have units, limits have ranges, and slips get the nearest name")
  func wrongLimits() {
    #expect(causes("relay", "--limit", "nodes").contains("sets nothing"))
    #expect(causes("relay", "--limit", "node=1").contains("did you mean nodes?"))
    for word in ["nodes=0", "nodes=-1", "nodes=x", "nodes=9999999999999999999", "rate=1kbit"] {
      #expect(causes("relay", "--limit", word).contains("out of range"), "\(word)")
    }
    for word in ["5", "5mb", "0mbit", "mbit", "1.5mbit", "99999999999999999gbit", "-1mbit"] {
      #expect(causes("relay", "--limit", "rate=\(word)").contains("is not a rate"), "\(word)")
    }
  }

  @Test("token add takes what a token allows")
  func tokens() throws {
    let action = try parse([
      "token", "add", "--label", "anna", "--allow-ports", "80", "--allow-ports", "1000-2000",
      "--allow-name", "*.Example.org", "--rate", "20mbit", "--no-relay",
    ])
    guard case .token(let settings) = action, case .add(let scope, nil, "anna") = settings.action
    else {
      Issue.record("\(action)")
      return
    }
    #expect(settings.identityFile == "/home/u/.config/qtun/relay")
    #expect(!scope.relays && scope.bytesPerSecond == 2_500_000)
    #expect(scope.allows(port: 1_500) && !scope.allows(port: 81))
    #expect(scope.allows(name: "a.example.org") && !scope.allows(name: "example.org"))
    #expect(causes("token", "add", "--no-relay").contains("is for nothing"))
    #expect(causes("token", "add", "--allow-ports", "9-8").contains("not a range"))
    #expect(causes("token", "add", "--allow-name", "10.0.0.0/8").contains("is not a name"))
    #expect(causes("token").contains("token add, token list, token revoke"))
    #expect(causes("token", "add", "--expires", "2000-01-01").contains("is over"))
  }

  @Test("a share's tokens are for relays that it names")
  func shares() throws {
    let name = String(repeating: "a", count: 52) + "@192.0.2.1"
    func tokens(_ words: [String], _ variables: [String: String] = [:]) throws -> [RelayTokenSource]
    {
      guard case .share(let settings) = try parse(["share", "1"] + words, variables) else {
        return []
      }
      return settings.relayTokens
    }
    let held = ["QTUN_RELAY_TOKEN": "t"]
    #expect(try tokens(["--rendezvous", name], held) == [.environment("t")])
    #expect(
      try tokens(["--rendezvous", name, "--token-file", "f", "--token-file", "g"], held)
        == [.file("f"), .file("g")])
    #expect(try tokens([], held) == [])
    #expect(causes("share", "1", "--token-file", "f").contains("with --rendezvous only"))
  }

  @Test("an option is judged by the command that it stands with")
  func ownOptions() {
    // A share may listen at port 0, and --expires has a meaning for tokens too.
    #expect(causes("token", "add", "--expires", "soon").contains("--expires"))
    #expect(causes("relay", "--listen", "nonsense").contains("--listen"))
  }
}
