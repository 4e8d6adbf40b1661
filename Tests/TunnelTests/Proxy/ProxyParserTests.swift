import Simulation
import Testing

@testable import Tunnel

/// SOCKS and HTTP as programs speak them, in any pieces.
@Suite("Proxy parser")
struct ProxyParserTests {
  private static let credentials = ProxyCredentials("user:pass word")

  /// Everything that the parser said, and its last step, after these bytes in one piece or bytewise.
  private func converse(
    _ bytes: [UInt8], bytewise: Bool, credentials: ProxyCredentials? = nil
  ) -> (replies: [UInt8], last: ProxyParser.Step) {
    var parser = ProxyParser(credentials: credentials)
    var replies: [UInt8] = []
    var last = ProxyParser.Step.needsMore
    let pieces = bytewise ? bytes.map { [$0] } : [bytes]
    for piece in pieces {
      parser.append(piece)
      steps: while true {
        let step = parser.next()
        switch step {
        case .needsMore: break steps
        case .reply(let words): replies += words
        case .request, .associate, .refuse:
          last = step
          break steps
        }
      }
    }
    return (replies, last)
  }

  private func request(
    _ host: String, _ port: UInt16, _ dialect: ProxyDialect, early: [UInt8] = []
  ) -> ProxyParser.Step {
    let destination = Destination(host: host, port: port)
    return .request(ProxyRequest(destination: destination, dialect: dialect, early: early))
  }

  @Test("a field of SOCKS4 is 255 bytes long at most, whether or not its end is there")
  func socks4Fields() {
    for bytewise in [true, false] {
      for (count, isRight) in [(255, true), (256, false), (4_000, false)] {
        let field = [UInt8](repeating: 0x61, count: count) + [0]
        let user = converse([4, 1, 0, 80, 192, 0, 2, 1] + field, bytewise: bytewise).last
        let name = converse([4, 1, 0, 80, 0, 0, 0, 1, 0] + field, bytewise: bytewise).last
        let refusal = ProxyParser.Step.refuse(ProxyDialect.socks4Reply(0x5b))
        #expect((user == request("192.0.2.1", 80, .socks4)) == isRight)
        #expect((user == refusal) == !isRight && (name == refusal) == !isRight)
      }
    }
  }

  @Test("SOCKS5 CONNECT with each kind of address", arguments: [true, false])
  func socks5(bytewise: Bool) {
    let hello: [UInt8] = [5, 2, 1, 0]
    let addresses: [([UInt8], String)] = [
      ([1, 192, 0, 2, 1], "192.0.2.1"), ([3, 3] + Array("a.b".utf8), "a.b"),
      ([4, 0x20, 0x01, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 11) + [1], "2001:db8::1"),
      ([4] + [UInt8](repeating: 0, count: 10) + [0xff, 0xff, 127, 0, 0, 1], "127.0.0.1"),
    ]
    for (address, host) in addresses {
      let bytes = hello + [5, 1, 0] + address + [1, 187]
      let (replies, last) = converse(bytes, bytewise: bytewise)
      #expect(replies == [5, 0])
      #expect(last == request(host, 443, .socks5))
      for count in 0..<bytes.count {
        #expect(converse(Array(bytes.prefix(count)), bytewise: bytewise).last == .needsMore)
      }
    }
  }

  @Test("UDP ASSOCIATE with each kind of address tells the port", arguments: [true, false])
  func associate(bytewise: Bool) {
    let addresses: [[UInt8]] = [
      [1, 0, 0, 0, 0], [1, 192, 0, 2, 1], [3, 1, 0x61], [4] + [UInt8](repeating: 0, count: 16),
    ]
    for address in addresses {
      for (port, number): ([UInt8], UInt16) in [([0, 0], 0), ([0xab, 0xcd], 0xabcd)] {
        let bytes = [5, 1, 0, 5, 3, 0] + address + port
        let (replies, last) = converse(bytes, bytewise: bytewise)
        #expect(replies == [5, 0] && last == .associate(port: number))
        for count in 0..<bytes.count {
          #expect(converse(Array(bytes.prefix(count)), bytewise: bytewise).last == .needsMore)
        }
      }
    }
    let wrong: [UInt8] = [5, 1, 0, 5, 3, 0, 2]
    #expect(converse(wrong, bytewise: bytewise).last == .refuse(ProxyDialect.socks5Reply(0x08)))
  }

  @Test("what a client sends too early belongs to the destination")
  func early() {
    let bytes: [UInt8] = [5, 1, 0, 5, 1, 0, 1, 192, 0, 2, 1, 0, 80]
    #expect(
      converse(bytes + [7, 8, 9], bytewise: false).last
        == request("192.0.2.1", 80, .socks5, early: [7, 8, 9]))
  }

  @Test(
    "SOCKS5 requests that are not served are answered by their code",
    arguments: [
      ([5, 2, 0, 1, 1, 2, 3, 4, 0, 80], 7),  // BIND
      ([5, 9, 0, 1], 7), ([5, 1, 0, 2], 8), ([5, 1, 0, 0], 8),
      ([5, 1, 0, 1, 1, 2, 3, 4, 0, 0], 1), ([5, 1, 0, 3, 0, 0, 80], 1),
      ([5, 1, 0, 3, 1, 0x0a, 0, 80], 1), ([5, 1, 0, 3, 1, 0xff, 0, 80], 1),
    ] as [([UInt8], UInt8)])
  func socks5Refusals(bytes: [UInt8], code: UInt8) {
    for bytewise in [true, false] {
      let (replies, last) = converse([5, 1, 0] + bytes, bytewise: bytewise)
      #expect(replies == [5, 0])
      #expect(last == .refuse(ProxyDialect.socks5Reply(code)))
    }
  }

  @Test("a SOCKS5 client without a method of ours is told so; a broken one hears nothing")
  func socks5Methods() {
    #expect(converse([5, 1, 2], bytewise: false).last == .refuse([5, 0xff]))
    #expect(converse([5, 0], bytewise: false).last == .refuse([5, 0xff]))
    #expect(converse([5, 1, 0, 4], bytewise: false).last == .refuse([]))
    for first in [0, 1, 2, 3, 6, 0x16, 0x20, 0x61, 0xff] as [UInt8] {
      #expect(converse([first, 1, 0], bytewise: false).last == .refuse([]))
    }
  }

  @Test("user names and passwords (RFC 1929)", arguments: [true, false])
  func socks5Password(bytewise: Bool) {
    let connect: [UInt8] = [5, 1, 0, 1, 192, 0, 2, 1, 0, 80]
    func attempt(_ user: String, _ password: String) -> (replies: [UInt8], last: ProxyParser.Step) {
      let login =
        [1, UInt8(user.utf8.count)] + Array(user.utf8)
        + [UInt8(password.utf8.count)] + Array(password.utf8)
      return converse(
        [5, 2, 0, 2] + login + connect, bytewise: bytewise, credentials: Self.credentials)
    }
    #expect(attempt("user", "pass word").replies == [5, 2, 1, 0])
    #expect(attempt("user", "pass word").last == request("192.0.2.1", 80, .socks5))
    for (user, password) in [
      ("user", "pass"), ("", ""), ("use", "rpass word"), ("USER", "pass word"),
    ] {
      #expect(attempt(user, password).last == .refuse([1, 1]))
    }
    let open = converse([5, 1, 0] + connect, bytewise: bytewise, credentials: Self.credentials)
    #expect(open.last == .refuse([5, 0xff]))
  }

  @Test("SOCKS4 with an address, SOCKS4a with a name", arguments: [true, false])
  func socks4(bytewise: Bool) {
    let four: [UInt8] = [4, 1, 0, 80, 192, 0, 2, 1] + Array("me".utf8) + [0]
    #expect(converse(four, bytewise: bytewise).last == request("192.0.2.1", 80, .socks4))
    let named: [UInt8] = [4, 1, 0, 80, 0, 0, 0, 9, 0] + Array("a.b".utf8) + [0]
    #expect(converse(named, bytewise: bytewise).last == request("a.b", 80, .socks4))
    for bytes in [four, named] {
      for count in 0..<bytes.count {
        #expect(converse(Array(bytes.prefix(count)), bytewise: bytewise).last == .needsMore)
      }
    }
  }

  @Test("SOCKS4 requests that are not served are refused")
  func socks4Refusals() {
    let refusal = ProxyParser.Step.refuse(ProxyDialect.socks4Reply(0x5b))
    let bad: [[UInt8]] = [
      [4, 2, 0, 80, 1, 2, 3, 4, 0], [4, 1, 0, 0, 1, 2, 3, 4, 0], [4, 1, 0, 80, 0, 0, 0, 1, 0, 0],
      [4, 1, 0, 80, 1, 2, 3, 4] + [UInt8](repeating: 65, count: 256),
      [4, 1, 0, 80, 0, 0, 0, 1, 0] + [UInt8](repeating: 65, count: 256),
    ]
    for bytes in bad { #expect(converse(bytes, bytewise: true).last == refusal) }
    let good: [UInt8] = [4, 1, 0, 80, 192, 0, 2, 1, 0]
    #expect(
      converse(good, bytewise: false, credentials: Self.credentials).last == refusal)
  }

  @Test("HTTP CONNECT", arguments: [true, false])
  func connect(bytewise: Bool) {
    let head = Array("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n".utf8)
    #expect(converse(head, bytewise: bytewise).last == request("example.com", 443, .connect))
    for count in 0..<head.count {
      #expect(converse(Array(head.prefix(count)), bytewise: bytewise).last == .needsMore)
    }
    #expect(
      converse(head + [1, 2], bytewise: false).last
        == request("example.com", 443, .connect, early: [1, 2]))
    let six = Array("CONNECT [::1]:443 HTTP/1.0\r\n\r\n".utf8)
    #expect(converse(six, bytewise: bytewise).last == request("::1", 443, .connect))
  }

  @Test("a request in absolute form becomes one for the origin server")
  func absoluteForm() {
    let head = """
      POST http://example.com:8080/a?b=c HTTP/1.1\r
      Host: wrong.example\r
      Proxy-Connection: keep-alive\r
      Proxy-Authorization: Basic eA==\r
      Connection: X-Hop, keep-alive, Content-Length\r
      X-Hop: 1\r
      Accept: */*\r
      Content-Length: 3\r
      \r
      abc
      """
    let wanted = """
      POST /a?b=c HTTP/1.1\r
      Host: example.com:8080\r
      Accept: */*\r
      Content-Length: 3\r
      Via: 1.1 qtun\r
      Connection: close\r
      \r
      abc
      """
    #expect(
      converse(Array(head.utf8), bytewise: false).last
        == request("example.com", 8_080, .forward, early: Array(wanted.utf8)))
  }

  @Test(
    "the port is 80 and the path / where none is written",
    arguments: [
      ("http://a.b", "a.b", "/"), ("HTTP://a.b/x", "a.b", "/x"), ("http://a.b?q", "a.b", "/?q"),
      ("http://[::1]/", "::1", "/"),
    ])
  func absoluteDefaults(target: String, host: String, path: String) throws {
    let head = Array("GET \(target) HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
    guard case .request(let request) = converse(head, bytewise: true).last else {
      Issue.record("no request")
      return
    }
    #expect(request.destination == Destination(host: host, port: 80))
    #expect(request.early.starts(with: Array("GET \(path) HTTP/1.1\r\n".utf8)))
  }

  @Test(
    "what is no request to a proxy gets 400",
    arguments: [
      "GET / HTTP/1.1\r\nHost: 127.0.0.1:1080\r\n\r\n", "GET * HTTP/1.1\r\n\r\n",
      "GET https://a/ HTTP/1.1\r\n\r\n", "GET ftp://a/ HTTP/1.1\r\n\r\n",
      "GET http:///x HTTP/1.1\r\n\r\n", "GET http://u@a/ HTTP/1.1\r\n\r\n",
      "GET http://a:0/ HTTP/1.1\r\n\r\n", "GET http://a/#f HTTP/1.1\r\n\r\n",
      "CONNECT example.com HTTP/1.1\r\n\r\n", "CONNECT /:443 HTTP/1.1\r\n\r\n",
      "CONNECT http://a:443 HTTP/1.1\r\n\r\n", "CONNECT a:443 HTTP/2.0\r\n\r\n",
      "CONNECT a:443\r\n\r\n", "CONNECT  a:443 HTTP/1.1\r\n\r\n",
      "GET http://a/ HTTP/1.1\n\n\r\n\r\n",
      "CONNECT a:443 HTTP/1.1\r\nA : b\r\n\r\n", "CONNECT a:443 HTTP/1.1\r\n A: b\r\n\r\n",
      "CONNECT a:443 HTTP/1.1\r\nA\r\n\r\n", "CONNECT a:443 HTTP/1.1\r\nA: b\rc\r\n\r\n",
      "CONNECT a:443 HTTP/1.1\r\nA: \0\r\n\r\n", "POST / HTTP/1.1\r\n\r\n\u{5}\u{1}\u{0}",
    ])
  func badRequests(text: String) {
    for bytewise in [true, false] {
      guard case .refuse(let words) = converse(Array(text.utf8), bytewise: bytewise).last else {
        Issue.record("not refused")
        return
      }
      #expect(words.starts(with: Array("HTTP/1.1 400 ".utf8)))
    }
  }

  @Test("a head that does not end is refused at 8 KiB, and no more is kept")
  func longHead() {
    let head = Array("CONNECT a:443 HTTP/1.1\r\nA: ".utf8)
    let filler = [UInt8](repeating: 65, count: HTTPHead.sizeMax)
    let (_, last) = converse(head + filler, bytewise: true)
    guard case .refuse(let words) = last else {
      Issue.record("not refused")
      return
    }
    #expect(words.starts(with: Array("HTTP/1.1 431 ".utf8)))
  }

  @Test("an HTTP proxy with a password asks for it")
  func httpPassword() {
    func attempt(_ fields: String) -> ProxyParser.Step {
      let head = "CONNECT a:443 HTTP/1.1\r\n\(fields)\r\n"
      return converse(Array(head.utf8), bytewise: true, credentials: Self.credentials).last
    }
    #expect(
      attempt("Proxy-Authorization: basic dXNlcjpwYXNzIHdvcmQ=\r\n") == request("a", 443, .connect))
    let wrong = [
      "", "Proxy-Authorization: Basic dXNlcjpwYXNz\r\n", "Proxy-Authorization: Basic\r\n",
      "Authorization: Basic dXNlcjpwYXNzIHdvcmQ=\r\n",
      "Proxy-Authorization: Bearer dXNlcjpwYXNzIHdvcmQ=\r\n",
    ]
    for fields in wrong {
      guard case .refuse(let words) = attempt(fields) else {
        Issue.record("let in with \(fields)")
        continue
      }
      let text = String(decoding: words, as: UTF8.self)
      #expect(text.hasPrefix("HTTP/1.1 407 "))
      #expect(text.contains("\r\nProxy-Authenticate: Basic realm=\"qtun\"\r\n"))
    }
  }

  @Test("random bytes never crash it, and pieces make no difference", arguments: Seeds.all)
  func noise(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let starts: [[UInt8]] = [
      [], [5], [5, 1, 0], [5, 1, 0, 5, 1, 0], [4, 1], Array("GET http://".utf8),
      Array("CONNECT a:1 HTTP/1.1\r\n".utf8),
    ]
    for _ in 0..<1_000 {
      let start = starts[Int(random.below(UInt64(starts.count)))]
      let bytes = start + Payload.bytes(Int(random.below(48)), seed: random.next())
      let whole = converse(bytes, bytewise: false)
      let pieces = converse(bytes, bytewise: true)
      #expect(whole.replies == pieces.replies)
      // Bytewise there is nothing beyond the request yet.
      switch (whole.last, pieces.last) {
      case (.request(let one), .request(let two)):
        #expect(one.destination == two.destination && one.dialect == two.dialect)
      case (let one, let two): #expect(one == two)
      }
    }
  }
}
