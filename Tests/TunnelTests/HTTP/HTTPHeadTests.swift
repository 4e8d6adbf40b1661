import Simulation
import Testing

@testable import Tunnel

@Suite("HTTP head")
struct HTTPHeadTests {
  private func read(_ text: String) -> HTTPHead.Result {
    HTTPHead.read(Array(text.utf8))
  }

  @Test("a head is found at the front of a connection, and its length told")
  func whole() throws {
    let text = "GET /a?b HTTP/1.1\r\nHost: x\r\nA:\t b c \r\nEmpty:\r\n\r\n"
    let fields = [("Host", "x"), ("A", "b c"), ("Empty", "")].map { name, value in
      HTTPHead.Field(name: name, value: Array(value.utf8))
    }
    let head = HTTPHead(method: "GET", target: "/a?b", minorVersion: 1, fields: fields)
    #expect(read(text + "body\r\n\r\n") == .head(head, count: text.utf8.count))
    for count in 0..<text.utf8.count {
      #expect(HTTPHead.read(Array(text.utf8.prefix(count))) == .needsMore)
    }
  }

  @Test("fields are found in any case, and lists in several fields are one list")
  func fields() throws {
    let text = "GET / HTTP/1.0\r\nConnection: Close, x\r\nCONNECTION: ,Y ,\r\n\r\n"
    guard case .head(let head, _) = read(text) else {
      Issue.record("no head")
      return
    }
    #expect(head.members(of: "connection") == ["close", "x", "y"])
    #expect(head.values(of: "connection").count == 2)
    #expect(head.minorVersion == 0)
  }

  @Test(
    "what is doubtful is malformed",
    arguments: [
      "GET / HTTP/1.1\n\r\n\r\n", "GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n",
      "GET  / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1 \r\n\r\n", " GET / HTTP/1.1\r\n\r\n",
      "GET /\r\n\r\n", "GET / HTTP/1.2\r\n\r\n", "GET / http/1.1\r\n\r\n",
      "G(T / HTTP/1.1\r\n\r\n", "GET /ä HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nA : b\r\n\r\n",
      "GET / HTTP/1.1\r\n: b\r\n\r\n", "GET / HTTP/1.1\r\n folded\r\n\r\n",
      "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", "GET / HTTP/1.1\r\nA: \u{0}\r\n\r\n", "\r\n\r\n",
      "\u{16}\u{3}\u{1}", "GET / \u{7f}",
    ])
  func malformed(text: String) {
    #expect(read(text) == .malformed)
  }

  @Test("the longest head passes, one byte more is too large")
  func size() {
    let start = "GET / HTTP/1.1\r\nA: "
    let filler = String(repeating: "a", count: HTTPHead.sizeMax - start.utf8.count - 4)
    guard case .head(_, HTTPHead.sizeMax) = read("\(start)\(filler)\r\n\r\n") else {
      Issue.record("the longest head is refused")
      return
    }
    #expect(read("\(start)\(filler)a\r\n\r\n") == .tooLarge)
    #expect(read("\(start)\(filler)aaa") == .needsMore)
    #expect(read("\(start)\(filler)aaaa") == .tooLarge)
  }

  @Test("random bytes never crash it, nor take more than there is", arguments: Seeds.all)
  func noise(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let alphabet = Array("GET / HTTP/1.1\r\n:aA \t".utf8)
    for _ in 0..<500 {
      var bytes = Array("GET / HTTP/1.1\r\n".utf8)
      for _ in 0..<random.below(60) {
        bytes.append(alphabet[Int(random.below(UInt64(alphabet.count)))])
      }
      bytes += Array("\r\n\r\n".utf8)
      if case .head(_, let count) = HTTPHead.read(bytes) { #expect(count <= bytes.count) }
    }
  }
}
