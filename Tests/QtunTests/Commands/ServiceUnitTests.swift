import Glibc
import Testing

@testable import qtun

@Suite("The service of a relay")
struct ServiceUnitTests {
  @Test("the unit in the repository is the one that is installed")
  func file() throws {
    let root = "/" + #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
    let file = try #require(fopen(root + "/scripts/qtun-relay.service", "r"))
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 65_536)
    let count = fread(&bytes, 1, bytes.count, file)
    let unit = ServiceUnit(
      program: "/usr/bin/qtun", configFile: "/etc/qtun/relay.conf", isOfUser: false)
    #expect(String(decoding: bytes[..<count], as: UTF8.self) == unit.text)
  }

  @Test("a user's service has no rights to give up, and no state but the user's")
  func user() {
    let unit = ServiceUnit(
      program: "/usr/bin/qtun", configFile: "/home/u/.config/qtun/relay.conf", isOfUser: true)
    #expect(!unit.text.contains("DynamicUser") && !unit.text.contains("--identity"))
    #expect(unit.text.contains("WantedBy=default.target"))
  }

  @Test("files are where systemd looks for them")
  func places() throws {
    func settings(_ words: String...) throws -> ServiceSettings? {
      let environment = Environment(["HOME": "/home/u"])
      let action = try CommandLineParser.parse(words, environment: environment).action
      if case .service(let settings) = action { return settings }
      return nil
    }
    let machine = try #require(try settings("service", "install", "--root", "/image"))
    #expect(machine.unitFile == "/image/etc/systemd/system/qtun-relay.service")
    #expect(machine.configFile == "/etc/qtun/relay.conf")
    let user = try #require(try settings("service", "status", "--user"))
    #expect(user.unitFile == "/home/u/.config/systemd/user/qtun-relay.service")
    #expect(user.configFile == "/home/u/.config/qtun/relay.conf")
  }
}
