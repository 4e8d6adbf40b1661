import Testing
import Tunnel

@testable import qtun

@Suite("CommandLineParser")
struct CommandLineParserTests {
  private static let home = ["HOME": "/home/u"]

  private func parse(
    _ line: String, _ variables: [String: String] = home
  ) throws(UsageError) -> Invocation {
    let words = line.split(separator: " ").map(String.init)
    return try CommandLineParser.parse(words, environment: Environment(variables))
  }

  private func complaints(_ line: String, _ variables: [String: String] = home) -> [Complaint] {
    do throws(UsageError) {
      _ = try parse(line, variables)
      return []
    } catch {
      return error.complaints
    }
  }

  private func causes(_ line: String, _ variables: [String: String] = home) -> [String] {
    complaints(line, variables).map(\.cause)
  }

  private func connectSettings(
    _ line: String, _ variables: [String: String] = home
  ) throws -> ConnectSettings {
    guard case .connect(let settings) = try parse(line, variables).action else {
      throw WrongAction()
    }
    return settings
  }

  private struct WrongAction: Error {}

  @Test("how often to dial again is a number or a word, and --no-reconnect is never")
  func retry() throws {
    let cases: [(String, RetryChoice?)] = [
      ("", nil), ("--retry never", .never), ("--retry forever", .forever), ("--retry 3", .times(3)),
      ("--retry 0", .never), ("--no-reconnect", .never), ("--no-reconnect --retry never", .never),
    ]
    for (options, expected) in cases {
      guard case .connect(let connect) = try parse("connect qtun1abc \(options)").action else {
        Issue.record("another command")
        continue
      }
      #expect(connect.retry == expected, "\(options)")
    }
    for options in ["--retry 3 --no-reconnect", "--retry 1.5", "--retry often"] {
      #expect(complaints("connect qtun1abc \(options)").count == 1, "\(options)")
    }
  }

  // MARK: share

  @Test("share takes a port and fills in the rest")
  func shareDefaults() throws {
    let session = SessionSettings(identityFile: "/home/u/.config/qtun/identity")
    let place = Place.tcp(HostPort(host: .name("localhost"), port: 3000))
    let expected = ShareSettings(
      services: [NamedPlace(name: nil, place: place)], listen: nil, session: session)
    #expect(
      try parse("share 3000") == Invocation(settings: GlobalSettings(), action: .share(expected)))
    #expect(session.congestion == .cubic)
    #expect(session.idleTimeout == .seconds(8 * 3_600))
    #expect(session.udpTimeout == .seconds(60))
    #expect(session.keylogFile == nil)
  }

  @Test("share takes every option, before and behind its word")
  func shareOptions() throws {
    let line =
      "-v --listen 192.0.2.1:4433 share --identity=/k db:5432 --congestion bbr "
      + "--idle-timeout 2m --udp-timeout 30s --insecure-keylog --json -v"
    let variables = Self.home.merging(["SSLKEYLOGFILE": "/tmp/keys"]) { $1 }
    let session = SessionSettings(
      identityFile: "/k", congestion: .bbr, idleTimeout: .seconds(120),
      udpTimeout: .seconds(30), keylogFile: "/tmp/keys")
    let place = Place.tcp(HostPort(host: .name("db"), port: 5432))
    let expected = ShareSettings(
      services: [NamedPlace(name: nil, place: place)],
      listen: HostPort(host: .ipv4("192.0.2.1"), port: 4433), session: session)
    let settings = GlobalSettings(
      logLevel: .trace, isQuiet: false, logFormat: .json, isJSON: true)
    #expect(
      try parse(line, variables) == Invocation(settings: settings, action: .share(expected)))
  }

  @Test("share tells targets of peers when asked to, and connect takes a file for its proxies")
  func proxyOptions() throws {
    guard case .share(let share) = try parse("share 3000 --proxy-protocol v2").action else {
      throw WrongAction()
    }
    #expect(share.proxyProtocol == .v2)
    #expect(try connectSettings("connect T --proxy-auth /f").proxyAuthFile == "/f")
    let variables = Self.home.merging(["QTUN_PROXY_AUTH": "/g"]) { $1 }
    #expect(try connectSettings("connect T", variables).proxyAuthFile == "/g")
  }

  @Test("SSLKEYLOGFILE alone writes no secrets, and the flag without it is refused")
  func keylog() throws {
    let variables = Self.home.merging(["SSLKEYLOGFILE": "/tmp/keys"]) { $1 }
    #expect(try connectSettings("connect T", variables).session.keylogFile == nil)
    #expect(
      causes("share 1 --insecure-keylog")
        == ["--insecure-keylog is given, but SSLKEYLOGFILE is not set"])
  }

  @Test("share takes several services by name, and no name twice")
  func services() throws {
    guard case .share(let settings) = try parse("share web=3000 db=unix:/run/a=b 22").action else {
      throw WrongAction()
    }
    #expect(settings.services.map(\.name) == ["web", "db", nil])
    #expect(
      settings.services.map(\.description) == [
        "web=localhost:3000", "db=unix:/run/a=b", "localhost:22",
      ]
    )
    #expect(causes("share a=1 a=2") == ["two services have the name a"])
    #expect(causes("share 1 2") == ["two services have no name"])
    let many = (1...65).map { "s\($0)=\($0)" }.joined(separator: " ")
    #expect(causes("share \(many)") == ["there are 65 services"])
    #expect(causes("share") == ["SERVICE is missing"])
  }

  // MARK: pipe

  @Test("pipe waits without a ticket and connects with one")
  func pipe() throws {
    func role(_ line: String) throws -> PipeSettings.Role {
      guard case .pipe(let settings) = try parse(line).action else { throw WrongAction() }
      return settings.role
    }
    let port = HostPort(host: .ipv6("::"), port: 4433)
    #expect(try role("pipe") == .waiting(listen: nil, ticketFile: nil))
    #expect(
      try role("pipe --listen 4433 --ticket-file t") == .waiting(listen: port, ticketFile: "t"))
    #expect(try role("pipe qtun1abc") == .connecting(.argument("qtun1abc"), DialSettings()))
    #expect(
      try role("pipe - --carrier tcp")
        == .connecting(.standardInput, DialSettings(carriers: .tcp)))
    #expect(causes("pipe --carrier udp") == ["--carrier goes with a ticket only"])
    #expect(
      causes("pipe T --listen 1 --ticket-file t")
        == ["--listen does not go with a ticket", "--ticket-file does not go with a ticket"])
  }

  // MARK: connect

  @Test("connect takes an address for each service that it names")
  func chosenServices() throws {
    let settings = try connectSettings("connect qtun1abc 8080 db=unix:d.sock web=0.0.0.0:0")
    #expect(
      settings.listeners.map(\.description)
        == ["127.0.0.1:8080", "db=unix:d.sock", "web=0.0.0.0:0"])
    let held = Self.home.merging(["QTUN_TICKET": "qtun1held"]) { $1 }
    #expect(try connectSettings("connect web=80", held).listeners.count == 1)
    #expect(causes("connect T a=1 a=2") == ["the service a is opened at two addresses"])
  }

  @Test("connect takes the ticket from the command line, standard input or the environment")
  func ticketSources() throws {
    let held = Self.home.merging(["QTUN_TICKET": "qtun1held"]) { $1 }
    let place = Place.tcp(HostPort(host: .ipv4("127.0.0.1"), port: 8080))
    let port = [NamedPlace(name: nil, place: place)]
    #expect(try connectSettings("connect qtun1abc").ticket == .argument("qtun1abc"))
    #expect(try connectSettings("connect qtun1abc").listeners.isEmpty)
    #expect(try connectSettings("connect - 8080").ticket == .standardInput)
    #expect(try connectSettings("connect - 8080").listeners == port)
    #expect(try connectSettings("connect", held).ticket == .environment("qtun1held"))
    #expect(try connectSettings("connect 8080", held).ticket == .environment("qtun1held"))
    #expect(try connectSettings("connect 8080", held).listeners == port)
    #expect(try connectSettings("connect qtun1abc", held).ticket == .argument("qtun1abc"))
  }

  @Test("connect without a ticket says where it may come from")
  func ticketMissing() {
    #expect(causes("connect") == ["TICKET is missing"])
    #expect(causes("connect 8080") == ["\"8080\" is not a ticket"])
    #expect(causes("connect", ["HOME": "/h", "QTUN_TICKET": ""]) == ["TICKET is missing"])
  }

  @Test("connect checks the address behind the ticket")
  func listenAddress() {
    #expect(causes("connect T 70000") == ["LISTEN: \"70000\" is out of the range of ports"])
    #expect(causes("connect T 1 2") == ["two addresses have no service in front"])
    let held = Self.home.merging(["QTUN_TICKET": "T"]) { $1 }
    #expect(causes("connect 1 2", held) == ["two addresses have no service in front"])
  }

  // MARK: identity

  @Test("the identity is found by option, variable and XDG rules, in this order")
  func identityPlaces() throws {
    var variables = ["HOME": "/h"]
    func file(_ line: String) throws -> String {
      try connectSettings(line, variables).session.identityFile
    }
    #expect(try file("connect T") == "/h/.config/qtun/identity")
    variables["XDG_CONFIG_HOME"] = "relative"
    #expect(try file("connect T") == "/h/.config/qtun/identity")
    variables["XDG_CONFIG_HOME"] = "/x"
    #expect(try file("connect T") == "/x/qtun/identity")
    variables["QTUN_IDENTITY"] = "/v"
    #expect(try file("connect T") == "/v")
    #expect(try file("connect T --identity /o") == "/o")
  }

  @Test("without HOME an identity has to be named")
  func noHome() throws {
    let complaint = complaints("keygen", [:])
    #expect(complaint.map(\.fix) == ["give --out FILE"])
    let invocation = try parse("keygen -f -o k", [:])
    #expect(invocation.action == .keygen(KeygenSettings(file: "k", overwrites: true)))
  }

  @Test("an option with an empty value is one complaint")
  func emptyValue() {
    #expect(causes("keygen --out=", [:]) == ["--out: \"\" is not a file name"])
  }

  // MARK: help, version, usage

  @Test("help is found in every spelling")
  func help() throws {
    #expect(try parse("help").action == .help(.overview))
    #expect(try parse("-h").action == .help(.overview))
    #expect(try parse("help share").action == .help(.command("share")))
    #expect(try parse("share --help").action == .help(.command("share")))
    #expect(try parse("help tickets -h").action == .help(.topic(.tickets)))
    #expect(try parse("help exit-codes").action == .help(.topic(.exitCodes)))
  }

  @Test("who asks for help gets it, whatever else is wrong with the command's words")
  func helpWins() throws {
    #expect(try parse("share abc --bogus -h").action == .help(.command("share")))
    #expect(causes("shar -h") == ["\"shar\" is not a command"])
  }

  @Test("an unknown topic is refused with the nearest one")
  func unknownTopic() {
    #expect(
      complaints("help tikets") == [
        Complaint(cause: "there is no help on \"tikets\"", fix: "did you mean `qtun help tickets`?")
      ])
  }

  @Test("version is a command and a flag")
  func version() throws {
    #expect(try parse("version").action == .version)
    #expect(try parse("--version --json").action == .version)
    #expect(try parse("--version --json").settings.isJSON)
    #expect(try parse("share 3000 --version").action == .version)
  }

  @Test("nothing asks for the usage; options without a command are refused")
  func nothing() throws {
    #expect(try parse("").action == .usage)
    #expect(causes("-v") == ["there is no command"])
    #expect(causes("--") == ["there is no command"])
  }

  // MARK: complaints

  @Test("everything wrong is reported at once, each with a fix")
  func everything() {
    let all = complaints("share --lisen 1 abc extra --idle-timeout 5 --congestion x --force -vq")
    #expect(
      all.map(\.cause) == [
        "\"--lisen\" is not an option",
        "--idle-timeout: \"5\" is not a duration",
        "--congestion: \"x\" is not a choice",
        "--force does not go with `qtun share`",
        "--verbose and --quiet contradict each other",
        "SERVICE: \"abc\" has no port",
        "SERVICE: \"extra\" has no port",
      ])
    #expect(all.allSatisfy { !$0.fix.isEmpty })
    #expect(all[0].fix == "did you mean --listen?")
  }

  @Test(
    "what is not a command gets the nearest one",
    arguments: [
      ("shar 3000", "did you mean share?"), ("3000", "did you mean `qtun share 3000`?"),
      ("qtun1abc", "did you mean `qtun connect TICKET`?"),
      (
        "bogus",
        "choose one of share, connect, to, pipe, relay, ping, netcheck, punch, status, ticket, "
          + "token, service, keygen, version, help"
      ),
    ])
  func notACommand(line: String, fix: String) {
    #expect(complaints(line).map(\.fix) == [fix])
  }

  @Test("an option given twice is refused, a flag is not")
  func twice() {
    #expect(causes("share 1 -l 1 --listen 2") == ["--listen is given more than once"])
    #expect(causes("version --json --json") == [])
  }

  @Test("the word behind an unknown option is no complaint of its own")
  func doubtfulWords() {
    #expect(causes("connect --a1 a --b2 b --c3 c T") == ["--a1", "--b2", "--c3"].map(notAnOption))
    #expect(causes("--bogus x share 3000") == [notAnOption("--bogus")])
    #expect(causes("--bogus share 3000") == [notAnOption("--bogus")])
    #expect(causes("share --bogus 3000") == [notAnOption("--bogus")])
  }

  private func notAnOption(_ name: String) -> String { "\"\(name)\" is not an option" }

  @Test("verbosity and form follow the flags")
  func globals() throws {
    #expect(try parse("version").settings == GlobalSettings())
    #expect(try parse("version -v").settings.logLevel == .debug)
    #expect(try parse("-vvv version").settings.logLevel == .trace)
    #expect(try parse("version -q").settings.logLevel == .warning)
    #expect(try parse("version -q").settings.isQuiet)
    #expect(try parse("version --json").settings.logFormat == .json)
    #expect(try parse("version --json --log-format text").settings.logFormat == .text)
    #expect(try parse("version --log-format=json").settings.isJSON == false)
  }

  @Test("random command lines end in an invocation or in complaints, never in a trap")
  func random() {
    let seed = UInt64.random(in: 0...UInt64.max)
    var generator = SplitMix(state: seed)
    let pieces =
      Grammar.commands.map(\.name) + Grammar.allOptions.map { "--\($0.long)" }
      + [
        "-v", "-vq", "-l", "-l=", "--", "-", "--listen=x", "=", "--=", "---", "3000", "[::1]:1",
        "qtun1x", "\u{1B}[2J", "é", "-é", "--bogus", "a b", "", "8h", "https://", "://", "[]:",
      ]
    for _ in 0..<5000 {
      let words = (0..<Int.random(in: 0...7, using: &generator)).map { _ in
        pieces.randomElement(using: &generator) ?? ""
      }
      let variables = Bool.random(using: &generator) ? Self.home : ["QTUN_TICKET": "T"]
      do throws(UsageError) {
        _ = try CommandLineParser.parse(words, environment: Environment(variables))
      } catch {
        #expect(!error.complaints.isEmpty, "seed \(seed): \(words)")
        #expect(!error.text.contains("\u{1B}"), "seed \(seed): \(words)")
        #expect(error.complaints.allSatisfy { !$0.cause.isEmpty && !$0.fix.isEmpty })
      }
    }
  }
}

/// A small seeded generator, so that a failure can be repeated.
private struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
