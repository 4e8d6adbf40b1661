import Testing
import Tunnel

@testable import qtun

/// The grammar of ssh(1) for forwards, in every form that it has, and ours for services.
@Suite("Forward")
struct ForwardTests {
  private static let loopback = HostPort.Host.ipv4("127.0.0.1")
  private static let everywhere = HostPort.Host.ipv6("::")

  private static func at(_ host: HostPort.Host, _ port: UInt16) -> Place {
    .tcp(HostPort(host: host, port: port))
  }

  private static func to(_ authority: String) throws -> LocalForward.Target {
    .destination(try #require(Destination(authority)))
  }

  private func problem<Value>(_ parse: () throws(ValueProblem) -> Value) -> String {
    do throws(ValueProblem) {
      _ = try parse()
      return ""
    } catch {
      return "\(error.cause): \(error.fix)"
    }
  }

  // MARK: -L

  @Test(
    "-L takes the forms of ssh",
    arguments: [
      ("8080:host:80", loopback, 8_080, "host:80"),
      ("localhost:8080:host:80", loopback, 8_080, "host:80"),
      ("127.0.0.2:8080:host:80", .ipv4("127.0.0.2"), 8_080, "host:80"),
      ("*:8080:host:80", everywhere, 8_080, "host:80"),
      (":8080:host:80", everywhere, 8_080, "host:80"),
      ("[::1]:8080:host:80", .ipv6("::1"), 8_080, "host:80"),
      ("8080:[2001:db8::1]:80", loopback, 8_080, "[2001:db8::1]:80"),
      ("[::1]:8080:[::1]:80", .ipv6("::1"), 8_080, "[::1]:80"),
      ("0:10.0.0.1:22", loopback, 0, "10.0.0.1:22"),
    ] as [(String, HostPort.Host, UInt16, String)])
  func local(text: String, host: HostPort.Host, port: UInt16, target: String) throws {
    let expected = LocalForward(place: Self.at(host, port), target: try Self.to(target))
    #expect(try LocalForward.parse(text) == [expected])
  }

  @Test("-L listens at a Unix socket, and leads to a service by its name")
  func localOthers() throws {
    let host = try Self.to("host:80")
    for text in ["/run/a.sock:host:80", "unix:/run/a.sock:host:80"] {
      #expect(
        try LocalForward.parse(text) == [LocalForward(place: .unix("/run/a.sock"), target: host)])
    }
    #expect(
      try LocalForward.parse("./a.sock:web")
        == [LocalForward(place: .unix("./a.sock"), target: .service("web"))])
    let web = LocalForward.Target.service("web")
    #expect(
      try LocalForward.parse("8080:web")
        == [LocalForward(place: Self.at(Self.loopback, 8_080), target: web)])
    #expect(
      try LocalForward.parse("*:8080:web")
        == [LocalForward(place: Self.at(Self.everywhere, 8_080), target: web)])
  }

  @Test("ranges lead port by port, to as many or from one up")
  func localRanges() throws {
    for text in ["8000-8002:host:9000-9002", "8000-8002:host:9000"] {
      #expect(
        try LocalForward.parse(text)
          == [0, 1, 2].map {
            LocalForward(
              place: Self.at(Self.loopback, 8_000 + $0), target: try Self.to("host:\(9_000 + $0)"))
          })
    }
    #expect(
      try LocalForward.parse("8000-8001:9000").map(\.target) == [
        .service("9000"), .service("9001"),
      ])
    #expect(try LocalForward.parse("1-1000:host:64536").count == 1_000)
  }

  @Test(
    "a wrong -L says what to write instead",
    arguments: [
      ("", "has no port to listen at: write 8080:localhost:80"), ("8080", "has no destination"),
      ("host:80", "has no port to listen at"), ("8080:", "has no destination"),
      ("8080:host:", "has no destination"), ("8080::80", "has no host in front of its last port"),
      ("8080:host:x", "has no destination"), ("1:2:3:4:5", "has no destination"),
      ("::1:8080:host:80", "has no port to listen at"), ("70000:host:80", "port out of range"),
      ("8080:host:70000", "port out of range"), ("8080:host:0", "port out of range"),
      ("8080:/run/a.sock", "run `qtun share NAME=unix:PATH` there"),
      ("8080:unix:/run/a.sock", "run `qtun share NAME=unix:PATH` there"),
      ("example.com:8080:host:80", "write an address of this machine"),
      ("8002-8000:host:80", "runs backwards: write 8000-8002"),
      ("8000-8002:host:80-81", "3 ports on one side and 2 on the other"),
      ("8000-8002:web", "one service at 3 ports"), ("8000-9000:host:80", "write 1000 at most"),
      ("8000-8002:host:65534", "leads beyond port 65535"), ("0-5:host:80", "port out of range"),
    ])
  func wrongLocal(text: String, words: String) {
    let problem = problem { () throws(ValueProblem) in try LocalForward.parse(text) }
    #expect(problem.contains(words), "\(problem)")
  }

  // MARK: -R

  @Test(
    "-R takes the forms of ssh",
    arguments: [
      ("8080:localhost:3000", loopback, 8_080, "localhost:3000"),
      ("8080:3000", loopback, 8_080, "localhost:3000"),
      ("0:localhost:3000", loopback, 0, "localhost:3000"),
      ("*:8080:db:5432", everywhere, 8_080, "db:5432"),
      ("0.0.0.0:80:[::1]:3000", .ipv4("0.0.0.0"), 80, "[::1]:3000"),
      ("8080:/run/a.sock", loopback, 8_080, "unix:/run/a.sock"),
      ("[::1]:8080:unix:a.sock", .ipv6("::1"), 8_080, "unix:a.sock"),
    ] as [(String, HostPort.Host, UInt16, String)])
  func remote(text: String, host: HostPort.Host, port: UInt16, place: String) throws {
    let expected = RemoteForward(
      address: HostPort(host: host, port: port), place: try Place.parse(place, rule: .service))
    #expect(try RemoteForward.parse(text) == [expected])
  }

  @Test("ranges of -R lead port by port")
  func remoteRanges() throws {
    let forwards = try RemoteForward.parse("*:8000-8010:localhost:3000")
    #expect(forwards.map(\.address.port) == Array(8_000...8_010))
    #expect(forwards.map(\.place.description) == (3_000...3_010).map { "localhost:\($0)" })
  }

  @Test(
    "a wrong -R says what to write instead",
    arguments: [
      ("8080", "run `qtun share dynamic:RULES` here"), ("/run/a.sock:host:80", "a Unix socket"),
      ("8080:host:0", "port out of range"), ("8080:host", "has no destination on this side"),
      ("1-2:/run/a.sock", "2 ports to one Unix socket"), ("8080:a b:1", "is not a host name"),
      ("host:80", "has no port to listen at"), ("1:2:3:4", "has no destination on this side"),
    ])
  func wrongRemote(text: String, words: String) {
    let problem = problem { () throws(ValueProblem) in try RemoteForward.parse(text) }
    #expect(problem.contains(words), "\(problem)")
  }

  // MARK: -D, -W

  @Test("-D takes an address, -W a destination or a service")
  func others() throws {
    #expect(
      try Grammar.dynamic.parser.parse("1080") == HostPort(host: Self.loopback, port: 1_080))
    #expect(
      try Grammar.dynamic.parser.parse("[::1]:1080") == HostPort(host: .ipv6("::1"), port: 1_080))
    for text in ["", "1080:host:80", "1080-1081", "host"] {
      #expect(throws: ValueProblem.self) { try Grammar.dynamic.parser.parse(text) }
    }
    let destination = try #require(Destination("[::1]:22"))
    #expect(try StdioForward.parse("[::1]:22") == .destination(destination))
    #expect(try StdioForward.parse("web") == .service("web"))
    for text in ["", ":22", "host:", "a b", "[::1]"] {
      #expect(throws: ValueProblem.self) { try StdioForward.parse(text) }
    }
  }
}
