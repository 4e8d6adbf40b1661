import Glibc
import Testing

@testable import qtun

@Suite("Control folder")
struct ControlFolderTests {
  @Test("the best place first, and none that is too long or not absolute")
  func candidates() {
    let environment = Environment(["XDG_RUNTIME_DIR": "/run/user/1", "HOME": "/home/a"])
    let own = "/tmp/qtun-\(geteuid())"
    #expect(
      ControlFolder.candidates(environment: environment)
        == ["/run/user/1/qtun", "/home/a/.local/state/qtun", own])
    let long = Environment([
      "XDG_RUNTIME_DIR": "relative", "HOME": "/" + String(repeating: "h", count: 90),
    ])
    #expect(ControlFolder.candidates(environment: long) == [own])
  }

  @Test("a folder that others can enter, a link or a file is no place for sockets")
  func privacy() throws {
    let base = "/tmp/qtun-test-\(getpid())-control"
    try #require(mkdir(base, 0o700) == 0)
    defer {
      for name in ["open", "private"] { rmdir("\(base)/\(name)") }
      for name in ["link", "file"] { unlink("\(base)/\(name)") }
      rmdir(base)
    }
    mkdir("\(base)/open", 0o755)
    mkdir("\(base)/private", 0o700)
    symlink("\(base)/private", "\(base)/link")
    close(open("\(base)/file", O_CREAT | O_WRONLY, 0o600))
    #expect(ControlFolder.isPrivate("\(base)/private"))
    for name in ["open", "link", "file", "missing"] {
      #expect(!ControlFolder.isPrivate("\(base)/\(name)"), "\(name)")
    }
  }
}
