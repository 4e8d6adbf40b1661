import QuicTransport
import Testing

@testable import Tunnel

@Suite("Requests of HTTP/3 as HTTP/1.1")
struct HTTP3RequestTests {
  private func fields(_ more: (String, String)..., changing: [String: String?] = [:])
    -> [HTTP3Field]
  {
    let usual = [
      (":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/x?y"),
    ]
    let kept = usual.compactMap { name, value -> (String, String)? in
      guard let change = changing[name] else { return (name, value) }
      return change.map { (name, $0) }
    }
    return (kept + more).map { HTTP3Field($0.0, $0.1) }
  }

  private func text(_ fields: [HTTP3Field], hasBody: Bool = false) throws -> String {
    String(decoding: try HTTP3Request(fields, hasBody: hasBody).head, as: UTF8.self)
  }

  private func refusal(_ fields: [HTTP3Field], hasBody: Bool = false) -> HTTP3Request.Refusal? {
    do throws(HTTP3Request.Refusal) {
      _ = try HTTP3Request(fields, hasBody: hasBody)
      return nil
    } catch {
      return error
    }
  }

  @Test("the pseudo-headers become the request line and Host, and cookies one field")
  func head() throws {
    let said = try text(
      fields(("cookie", "a=1"), ("accept", "*/*"), ("cookie", "b=2"), ("te", "trailers")))
    #expect(
      said == "GET /x?y HTTP/1.1\r\nHost: a.test\r\naccept: */*\r\ncookie: a=1; b=2\r\n"
        + "Connection: close\r\n\r\n")
    let request = try HTTP3Request(
      fields(changing: [":authority": "A.test.:8443"]), hasBody: false)
    #expect(request.host == "a.test" && request.framing == .length(0))
    let byHost = try text(fields(("host", "a.test"), changing: [":authority": nil]))
    #expect(byHost.hasPrefix("GET /x?y HTTP/1.1\r\nHost: a.test\r\nConnection"))
    #expect(try text(fields(("host", "a.test"))) == byHost)
  }

  @Test("a body has the length that was told, or chunks")
  func framing() throws {
    let known = try HTTP3Request(fields(("content-length", "3")), hasBody: true)
    #expect(known.framing == .length(3))
    #expect(!String(decoding: known.head, as: UTF8.self).contains("chunked"))
    let unknown = try HTTP3Request(fields(), hasBody: true)
    #expect(unknown.framing == .chunked)
    #expect(
      String(decoding: unknown.head, as: UTF8.self).contains("Transfer-Encoding: chunked\r\n"))
    for lengths in [["3", "3"], ["3", "4"], ["-1"], ["0x3"], ["3, 3"], [""]] {
      let all = fields() + lengths.map { HTTP3Field("content-length", $0) }
      #expect(refusal(all, hasBody: true) == .malformed, "\(lengths)")
    }
    #expect(refusal(fields(("content-length", "3"))) == .malformed)
  }

  @Test(
    "what another reader could take for something else is malformed",
    arguments: [
      ("connection", "close"), ("transfer-encoding", "chunked"), ("upgrade", "websocket"),
      ("keep-alive", "1"), ("proxy-connection", "x"), ("te", "gzip"), ("Accept", "*/*"),
      ("a b", "x"), ("", "x"), ("a:b", "x"), ("host", "b.test"), ("x", "a\r\nb: c"), ("x", "a\nb"),
      ("x", "a\0b"), (":path", "/y"), (":status", "200"), (":protocol", "websocket"),
    ])
  func malformed(name: String, value: String) {
    #expect(refusal(fields((name, value))) == .malformed)
  }

  @Test(
    "pseudo-headers are there, once, and well formed",
    arguments: [
      (":method", nil), (":method", ""), (":method", "GE T"), (":scheme", nil), (":path", nil),
      (":path", ""), (":path", "x"), (":path", "*"), (":path", "/a b"), (":path", "/a\r\nX: y"),
      (":path", "http://b.test/"), (":authority", nil), (":authority", ""),
      (":authority", "user@a.test"), (":authority", "a.test/x"), (":authority", "a b"),
      (":authority", "a.test:99999"), (":authority", "a.test\r\nX: y"),
    ] as [(String, String?)])
  func pseudoHeaders(name: String, value: String?) {
    #expect(refusal(fields(changing: [name: value])) == .malformed)
    let twice = fields() + [HTTP3Field(name, "x")]
    #expect(refusal(twice) == .malformed)
  }

  @Test("a proxy's requests, other schemes and long heads have a word of their own")
  func refused() {
    let connect = [HTTP3Field(":method", "CONNECT"), HTTP3Field(":authority", "a.test:443")]
    guard case .refused? = refusal(connect) else {
      Issue.record("CONNECT")
      return
    }
    guard case .refused? = refusal(fields(changing: [":scheme": "http"])) else {
      Issue.record("http")
      return
    }
    let long = fields(("x", String(repeating: "a", count: HostReader.headMax)))
    #expect(refusal(long) == .tooLarge)
  }

  @Test("a body is framed as it comes, never longer or shorter than it said")
  func body() {
    var chunked = RequestBodyWriter(.chunked)
    #expect(chunked.data(Array("hello".utf8)) == Array("5\r\nhello\r\n".utf8))
    #expect(chunked.data([]) == [])
    #expect(chunked.end() == Array("0\r\n\r\n".utf8))
    var known = RequestBodyWriter(.length(3))
    #expect(known.data([1, 2]) == [1, 2])
    #expect(known.end() == nil)
    #expect(known.data([3, 4]) == nil)
    #expect(known.data([3]) == [3])
    #expect(known.end() == [])
  }
}
