import Testing

@testable import HolePunch

@Suite("HTTP response of a router")
struct HTTPResponseTests {
  private func read(_ text: String, isAtEnd: Bool = false) -> HTTPResponse.Progress {
    HTTPResponse.read(Array(text.utf8), isAtEnd: isAtEnd)
  }

  private func whole(_ status: Int, _ body: String) -> HTTPResponse.Progress {
    .complete(HTTPResponse(status: status, body: Array(body.utf8)))
  }

  @Test("a length, chunks or the end of the connection say where the body ends")
  func bodies() {
    #expect(read("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd") == whole(200, "abc"))
    #expect(
      read("HTTP/1.1 500 x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x\r\nc\r\n0\r\n\r\n")
        == whole(500, "abc"))
    #expect(read("HTTP/1.0 200 OK\n\nabc", isAtEnd: true) == whole(200, "abc"))
  }

  @Test(
    "what is not whole yet waits, and is nothing once the connection is closed",
    arguments: [
      "", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
    ])
  func incomplete(text: String) {
    #expect(read(text) == .incomplete)
    #expect(read(text, isAtEnd: true) == .malformed)
  }

  @Test(
    "other protocols are none", arguments: ["SSH-2.0-x\r\n\r\n", "\r\n\r\n", "HTTP/1.1 ok\r\n\r\n"])
  func malformed(text: String) {
    #expect(read(text) == .malformed)
  }
}
