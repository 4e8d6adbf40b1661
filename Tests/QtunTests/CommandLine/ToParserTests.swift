import Testing
import Tunnel

@testable import qtun

@Suite("Command line of qtun to")
struct ToParserTests {
  private func parse(
    _ line: String, _ variables: [String: String] = ["HOME": "/home/u"]
  ) throws(UsageError) -> Invocation.Action {
    let words = line.split(separator: " ").map(String.init)
    return try CommandLineParser.parse(words, environment: Environment(variables)).action
  }

  private func settings(
    _ line: String, _ variables: [String: String] = ["HOME": "/home/u"]
  ) throws -> ToSettings {
    guard case .to(let settings) = try parse(line, variables) else { throw WrongAction() }
    return settings
  }

  private func causes(_ line: String) -> [String] {
    do throws(UsageError) {
      _ = try parse(line)
      return []
    } catch {
      return error.complaints.map { "\($0.cause): \($0.fix)" }
    }
  }

  private struct WrongAction: Error {}

  @Test("several of each, before and behind the name, glued to their letter or not")
  func several() throws {
    let settings = try settings(
      "to -L8080:web home -L 1-3:h:5 -R 80:81 -R=90:91 -D 1080 -D *:1081 --proxy-protocol v2")
    guard case .forwards(let local, let proxies, let remote) = settings.purpose else {
      throw WrongAction()
    }
    #expect(local.count == 4 && remote.map(\.address.port) == [80, 90])
    #expect(proxies.map(\.description) == ["127.0.0.1:1080", "[::]:1081"])
    #expect(settings.ticket == .saved(name: "home", folder: "/home/u/.config/qtun/peers"))
    #expect(
      settings.proxyProtocol == .v2 && settings.dialling.carriers == .auto && settings.retry == nil)
  }

  @Test("a ticket, a name, standard input and the environment")
  func tickets() throws {
    #expect(try settings("to QTUN1abc -D 1").ticket == .argument("QTUN1abc"))
    #expect(try settings("to - -W web").ticket == .standardInput)
    let held = ["HOME": "/h", "QTUN_TICKET": "qtun1xyz"]
    #expect(try settings("to -D 1", held).ticket == .environment("qtun1xyz"))
    #expect(
      try settings("to home -D 1", ["HOME": "/h", "XDG_CONFIG_HOME": "/c"]).ticket
        == .saved(name: "home", folder: "/c/qtun/peers"))
  }

  @Test("-W stands alone, and something must be opened")
  func purposes() throws {
    let destination = try #require(Destination("host:22"))
    #expect(try settings("to home -W host:22").purpose == .stdio(.destination(destination)))
    #expect(causes("to home -W host:22 -D 1").first?.contains("-W does not go with") == true)
    #expect(causes("to home -W a:1 -W b:1").first?.contains("--stdio is given more than") == true)
    #expect(causes("to home").first?.contains("nothing to open") == true)
    #expect(causes("to -D 1").first?.contains("TICKET|NAME|- is missing") == true)
    #expect(causes("to ../x -D 1").first?.contains("neither a ticket nor a name") == true)
    #expect(causes("to home -L x").count == 1)
    #expect(causes("to home ls -D 1").first?.contains("one word too many") == true)
    #expect(causes("to home -R 1-65:1").first?.contains("ask for 64 at most") == true)
    #expect(causes("connect qtun1a -L 1:web").first?.contains("does not go with") == true)
  }

  @Test("a ticket is saved under a name that cannot lead out of its folder")
  func save() throws {
    let folder = "/home/u/.config/qtun/peers"
    #expect(
      try parse("ticket save home qtun1abc")
        == .savePeer(name: "home", ticket: .argument("qtun1abc"), folder: folder))
    #expect(
      try parse("ticket save home -")
        == .savePeer(name: "home", ticket: .standardInput, folder: folder))
    for name in ["..", "../a", "a/b", ".a", "qtun1abc"] {
      #expect(
        causes("ticket save \(name) -").first?.contains("cannot be the name") == true, "\(name)")
    }
  }

  @Test("share says where peers may listen")
  func allowListen() throws {
    guard case .share(let settings) = try parse("share 1 --allow-listen 8000-8010,0.0.0.0:80")
    else { throw WrongAction() }
    #expect(settings.listenRules?.description == "8000-8010,0.0.0.0:80")
    #expect(causes("share 1 --allow-listen 80,x").first?.contains("\"x\"") == true)
  }

  @Test("a range shares or opens a service for each port, under names that follow from it")
  func ranges() throws {
    func places(_ text: String, _ rule: HostPort.Rule) throws(ValueProblem) -> [String] {
      try NamedPlace.parseRange(text, rule: rule).map(\.description)
    }
    #expect(
      try places("8000-8002", .service)
        == ["8000=localhost:8000", "8001=localhost:8001", "8002=localhost:8002"])
    #expect(try places("web=db:80-81", .service) == ["web-80=db:80", "web-81=db:81"])
    #expect(try places("udp:[::1]:80-81", .service) == ["80=udp:[::1]:80", "81=udp:[::1]:81"])
    #expect(try places("dynamic:10.0.0.1:80-81", .service) == ["dynamic:10.0.0.1:80-81"])
    #expect(try places("a-1:80", .service) == ["a-1:80"])
    #expect(
      try places("8000-8001", .localListener) == ["8000=127.0.0.1:8000", "8001=127.0.0.1:8001"])
    #expect(
      try places("0.0.0.0:9000-9001:8000", .localListener)
        == ["8000=0.0.0.0:9000", "8001=0.0.0.0:9001"])
    #expect(
      try places("web=9000-9001:80-81", .localListener)
        == ["web-80=127.0.0.1:9000", "web-81=127.0.0.1:9001"])
    for text in ["1-65", "5-1", "0-3", "1-70000"] {
      #expect(throws: ValueProblem.self) { try places(text, .service) }
    }
    for text in ["1-3:1-2", "65534-65535:65535"] {
      #expect(throws: ValueProblem.self) { try places(text, .localListener) }
    }
    #expect(causes("share 1-65").first?.contains("share `dynamic:127.0.0.1:1-65`") == true)
    #expect(causes("share 1-60 100-110").first?.contains("there are 71 services") == true)
  }
}
