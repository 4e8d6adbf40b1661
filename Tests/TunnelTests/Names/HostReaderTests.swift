import Simulation
import Testing

@testable import Tunnel

@Suite("Host reader")
struct HostReaderTests {
  private func read(_ text: String, step: Int = .max) -> HostReader.Result {
    let bytes = Array(text.utf8)
    var reader = HostReader()
    var result = HostReader.Result.needsMore
    var offset = 0
    while offset < bytes.count, result == .needsMore {
      let end = offset + min(step, bytes.count - offset)
      result = reader.read(Array(bytes[..<end]))
      offset = end
    }
    return result
  }

  private func host(_ text: String, step: Int = .max) -> String? {
    if case .request(_, let host) = read(text, step: step) { host } else { nil }
  }

  @Test(
    "the Host field tells, without its port, in lower case and without a final dot",
    arguments: ["a.example", "A.Example", "a.example:8080", "a.example.", "A.EXAMPLE.:1"])
  func field(host: String) {
    let text = "GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n"
    #expect(self.host(text) == "a.example")
    #expect(self.host(text, step: 1) == "a.example")
  }

  @Test("addresses are hosts, too")
  func addresses() {
    #expect(host("GET / HTTP/1.1\r\nHost: 192.0.2.1:80\r\n\r\n") == "192.0.2.1")
    #expect(host("GET / HTTP/1.1\r\nHost: [2001:db8::1]\r\n\r\n") == "2001:db8::1")
  }

  @Test("the absolute form wins over the field")
  func absolute() {
    let text = "GET HTTP://b.example:81/x HTTP/1.1\r\nHost: a.example\r\n\r\n"
    #expect(host(text) == "b.example")
    #expect(host("GET https://b.example HTTP/1.1\r\nHost: a.example\r\n\r\n") == "b.example")
  }

  @Test("OPTIONS of everything, and HTTP/1.0 with a Host field, are led as well")
  func others() {
    #expect(host("OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n") == "a.example")
    #expect(host("GET / HTTP/1.0\r\nHost: a.example\r\n\r\n") == "a.example")
  }

  @Test(
    "what leads to no host, or to two, is refused",
    arguments: [
      "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.0\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n\r\n",
      "GET http://b.example/ HTTP/1.1\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: \r\n\r\n", "GET / HTTP/1.1\r\nHost: a.example, b.example\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: user@a.example\r\n\r\n", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: 0x7f.1\r\n\r\n", "GET x HTTP/1.1\r\nHost: a.example\r\n\r\n",
      "GET http://user@b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
      "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n",
      "GET / HTTP/1.1\nHost: a.example\r\n\r\n", "GET / HTTP/1.1\r\nHost : a.example\r\n\r\n",
    ])
  func refused(text: String) {
    guard case .refused(.malformed) = read(text) else {
      Issue.record("it leads somewhere")
      return
    }
  }

  @Test("the preface of HTTP/2 is told from garbage, in any pieces")
  func http2() {
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    for step in 1...preface.count { #expect(read(preface, step: step) == .refused(.http2)) }
    #expect(read(preface + "\u{0}\u{0}") == .refused(.http2))
    #expect(read("PRI * HTTP/2.0\r\n\r\nXX") == .refused(.malformed("this is no HTTP/1.x request")))
  }

  @Test("a head of 16 KiB passes, a byte more does not")
  func size() {
    let start = "GET / HTTP/1.1\r\nHost: a.example\r\nCookie: "
    let filler = String(repeating: "a", count: HostReader.headMax - start.utf8.count - 4)
    #expect(host("\(start)\(filler)\r\n\r\n", step: 1_000) == "a.example")
    #expect(read("\(start)\(filler)a\r\n\r\n", step: 1_000) == .refused(.tooLarge))
  }
}
