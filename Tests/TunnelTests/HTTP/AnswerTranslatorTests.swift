import QuicTransport
import Testing

@testable import Tunnel

@Suite("Answers of HTTP/1.1 as HTTP/3")
struct AnswerTranslatorTests {
  /// What came out, in words.
  private func said(
    _ answer: String, to method: String = "GET", step: Int = .max, finishes: Bool = true
  ) -> String {
    var translator = AnswerTranslator(method: method)
    var words: [String] = []
    func note(_ piece: AnswerTranslator.Piece) {
      switch piece {
      case .information(let fields): words.append("info" + text(fields))
      case .fields(let fields, let isLast): words.append((isLast ? "all" : "head") + text(fields))
      case .data(let bytes):
        let text = String(decoding: bytes, as: UTF8.self)
        if words.last?.hasPrefix("'") == true {
          words[words.count - 1] += text
        } else {
          words.append("'" + text)
        }
      case .end: words.append("end")
      case .malformed: words.append("malformed")
      }
    }
    let bytes = Array(answer.utf8)
    var offset = 0
    while offset < bytes.count {
      let count = min(step, bytes.count - offset)
      bytes[offset..<offset + count].withUnsafeBytes { translator.read($0, note) }
      offset += count
    }
    if finishes { translator.finish(note) }
    return words.joined(separator: " | ")
  }

  private func text(_ fields: [HTTP3Field]) -> String {
    fields.map { " \($0.name)=\($0.text)" }.joined()
  }

  @Test(
    "fields of the connection stay behind, and chunks are taken apart", arguments: [1, 7, 1_000])
  func chunks(step: Int) {
    let answer =
      "HTTP/1.1 200 OK\r\nContent-Type: a\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n"
      + "Keep-Alive: 5\r\nTransfer-Encoding: chunked\r\nContent-Length: 99\r\nSet-Cookie: a=b\r\n"
      + "Set-Cookie: c=d\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nTrailer: 1\r\n\r\nmore"
    let expected =
      "head :status=200 content-type=a set-cookie=a=b set-cookie=c=d | 'abcdefg | end"
    #expect(said(answer, step: step) == expected)
  }

  @Test(
    "a body ends with its length, or with the connection where it has none", arguments: [1, 99])
  func lengths(step: Int) {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
    #expect(said(head + "abcd", step: step) == "head :status=200 content-length=3 | 'abc | end")
    #expect(said(head + "ab", step: step) == "head :status=200 content-length=3 | 'ab | malformed")
    #expect(said("HTTP/1.0 200 OK\r\n\r\nabc", step: step) == "head :status=200 | 'abc | end")
    let twice = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n"
    #expect(said(twice) == "all :status=200 content-length=0")
  }

  @Test("HEAD, 204 and 304 have no body, whatever their fields say")
  func bodiless() {
    let answer = "Content-Length: 3\r\n\r\nabc"
    #expect(said("HTTP/1.1 200 OK\r\n" + answer, to: "HEAD") == "all :status=200 content-length=3")
    #expect(said("HTTP/1.1 304 X\r\n" + answer) == "all :status=304 content-length=3")
    #expect(said("HTTP/1.1 204 X\r\n\r\n") == "all :status=204")
  }

  @Test("answers before the final one are passed on, but for 101")
  func information() {
    let answer =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 X\r\nLink: a\r\n\r\nHTTP/1.1 204 X\r\n\r\n"
    #expect(said(answer) == "info :status=100 | info :status=103 link=a | all :status=204")
    #expect(said("HTTP/1.1 101 X\r\nUpgrade: y\r\n\r\n") == "malformed")
  }

  @Test(
    "what is no answer, or has no form in HTTP/3, is malformed",
    arguments: [
      "", "hello\r\n\r\n", "HTTP/1.1 099 X\r\n\r\n", "HTTP/1.1 200 OK\r\na b: c\r\n\r\n",
      "HTTP/1.1 200 OK\r\nä: c\r\n\r\n", "HTTP/1.1 200 OK\r\na: b\u{1}\r\n\r\n",
      "HTTP/1.1 200 OK\r\na: b\rc\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n",
      "HTTP/1.1 200 OK\r\nX: " + String(repeating: "a", count: 70_000),
    ])
  func malformed(answer: String) {
    #expect(said(answer) == "malformed")
  }
}
