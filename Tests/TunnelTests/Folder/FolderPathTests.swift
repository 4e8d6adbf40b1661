import Simulation
import Testing

@testable import Tunnel

@Suite("Folder path")
struct FolderPathTests {
  @Test(
    "a target names what it says, escapes and all",
    arguments: [
      ("/", [], true), ("/a", ["a"], false), ("/a/b/", ["a", "b"], true),
      ("//a//b", ["a", "b"], false),
      ("/a%20b?x=/../y", ["a b"], false), ("/%C3%A4", ["ä"], false), ("/a%2520", ["a%20"], false),
      ("/a..b/c.", ["a..b", "c."], false),
    ])
  func good(target: String, names: [String], isFolder: Bool) throws {
    let path = try #require(FolderPath(target: target))
    #expect(path.names == names && path.isFolder == isFolder)
  }

  @Test(
    "what could lead elsewhere, is hidden or has two meanings is refused",
    arguments: [
      "", "a", "*", "http://a/b", "/..", "/../a", "/a/../b", "/a/./b", "/.", "/%2e%2e/a", "/%2E%2e",
      "/.%2e/a", "/..%2fetc", "/a%2fb", "/a%2Fb", "/a\\b", "/a%5cb", "/%00", "/a%00.txt", "/a%",
      "/a%2", "/a%zz", "/.git/config", "/a/.ssh", "/%2egit", "/%ff", "/%c0%ae%c0%ae/", "/a%0ab",
      "/a%7f", "/" + String(repeating: "n", count: 256), String(repeating: "/a", count: 65),
    ])
  func bad(target: String) {
    #expect(FolderPath(target: target) == nil)
  }

  @Test("links to a folder read back as the same folder")
  func links() throws {
    for target in ["/", "/a%20b/", "/%C3%A4/%22%3C/"] {
      let path = try #require(FolderPath(target: target))
      #expect(path.folderURL == target)
    }
  }

  @Test("random targets never have a name that leads out", arguments: Seeds.all)
  func noise(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let alphabet = Array("/.%2eEfFcC05aA\\?")
    for _ in 0..<1_000 {
      let text = (0..<Int(random.below(20))).map { _ in
        alphabet[Int(random.below(UInt64(alphabet.count)))]
      }
      guard let path = FolderPath(target: "/" + String(text)) else { continue }
      #expect(
        path.names.allSatisfy { name in
          !name.isEmpty && !name.hasPrefix(".") && !name.contains("/") && !name.contains("\0")
        })
    }
  }
}
