import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Request watcher")
struct RequestWatcherTests {
  /// A watcher, a clock, and what was reported.
  private final class Scene {
    var reports: [RequestReport] = []
    private(set) var watcher: RequestWatcher!
    private var now = Instant(nanoseconds: 1_000_000_000)
    /// Bytes shown at once.
    var step = Int.max

    init() {
      watcher = RequestWatcher(flow: 4, service: "web") { [unowned self] in reports.append($0) }
    }

    func wait(_ time: Duration) { now = now + time }

    func client(_ text: String) { client(Array(text.utf8)) }
    func server(_ text: String) { server(Array(text.utf8)) }

    func client(_ bytes: [UInt8]) {
      pieces(bytes) { watcher.sawRequests($0, now: now) }
    }

    func server(_ bytes: [UInt8]) {
      pieces(bytes) { watcher.sawAnswers($0, now: now) }
    }

    func serverEnds() { watcher.sawEndOfAnswers(now: now) }
    func end() { watcher.end(now: now) }

    private func pieces(_ bytes: [UInt8], _ show: (UnsafeRawBufferPointer) -> Void) {
      for start in stride(from: 0, to: bytes.count, by: min(step, max(1, bytes.count))) {
        Array(bytes[start..<min(start + min(step, bytes.count), bytes.count)])
          .withUnsafeBytes(show)
      }
    }

    var lines: [String] {
      reports.map { "\($0.method) \($0.path) \($0.status ?? 0)\($0.isWhole ? "" : " broken")" }
    }
  }

  private let get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
  private let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

  @Test("a request is told of when the last byte of its answer passes", arguments: [1, 5, 10_000])
  func one(step: Int) throws {
    let scene = Scene()
    scene.step = step
    scene.client("\r\nGET /a/b?token=secret#x HTTP/1.1\r\nHost: x\r\n\r\n")
    scene.wait(.milliseconds(30))
    scene.server("HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhell")
    #expect(scene.reports.isEmpty)
    scene.wait(.milliseconds(12))
    scene.server("o")
    #expect(
      scene.reports == [
        RequestReport(
          flow: 4, service: "web", method: "GET", path: "/a/b", status: 404, isWhole: true,
          answerBytes: 5, duration: .milliseconds(42))
      ])
    scene.end()
    #expect(scene.reports.count == 1)
  }

  @Test(
    "keep-alive, pipelining and bodies of every framing are followed", arguments: [1, 7, 10_000])
  func several(step: Int) {
    let scene = Scene()
    scene.step = step
    scene.client("POST /1 HTTP/1.1\r\nContent-Length: 12\r\n\r\nGET / HTTP/1")
    scene.client("PUT /2 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + get)
    scene.client("HEAD /4 HTTP/1.1\r\n\r\nGET /5 HTTP/1.1\r\n\r\nGET /6 HTTP/1.1\r\n\r\n")
    scene.server("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok)
    scene.server(
      "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nT: v\r\n\r\n")
    scene.server("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")
    scene.server("HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n")
    #expect(
      scene.lines == ["POST /1 200", "PUT /2 201", "GET /a 204", "HEAD /4 200", "GET /5 304"])
    scene.server("HTTP/1.0 200 OK\r\n\r\nall of the rest")
    #expect(scene.reports.count == 5)
    scene.serverEnds()
    #expect(scene.lines.last == "GET /6 200" && scene.reports.last?.answerBytes == 15)
  }

  @Test("an upgrade is told of, and what follows is not looked at")
  func upgrade() {
    let scene = Scene()
    scene.client("GET /chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n")
    scene.server("HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")
    #expect(scene.lines == ["GET /chat 101"])
    #expect(!scene.watcher.isWatching)
    scene.client(get)
    scene.end()
    #expect(scene.reports.count == 1)
  }

  @Test("a connection that ends too soon breaks its requests off")
  func broken() {
    let scene = Scene()
    scene.client(get + get)
    scene.server("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok")
    scene.serverEnds()
    scene.end()
    #expect(scene.lines == ["GET /a 200 broken", "GET /a 0 broken"])
    #expect(scene.reports[0].answerBytes == 2)
  }

  @Test(
    "what is not plain HTTP/1.x is left alone at once",
    arguments: [
      "\u{16}\u{3}\u{1}\u{2}", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "SSH-2.0-x\r\n\r\n",
      "get / HTTP/1.1\r\n\r\n", "*1\r\n", "\u{0}", "GET /\r\n\r\n", "GET / HTTP/1.1\r\nA\r\n\r\n",
    ])
  func foreign(text: String) {
    let scene = Scene()
    scene.client(text)
    scene.server(ok)
    #expect(!scene.watcher.isWatching)
    scene.client(get)
    scene.server(ok)
    scene.end()
    #expect(scene.reports.isEmpty)
  }

  @Test("a server that speaks first is no HTTP server")
  func serverFirst() {
    let scene = Scene()
    scene.server("220 mail.example ESMTP\r\n")
    #expect(!scene.watcher.isWatching)
  }

  @Test("heads and open requests are bounded")
  func bounds() {
    let long = Scene()
    long.client("GET /" + String(repeating: "a", count: 9_000))
    #expect(!long.watcher.isWatching)
    let ahead = Scene()
    ahead.client(String(repeating: get, count: AnswerReader.requestsMax))
    #expect(ahead.watcher.isWatching)
    ahead.client(get)
    #expect(!ahead.watcher.isWatching)
    let path = Scene()
    path.client("GET /" + String(repeating: "ä", count: 1_000) + " HTTP/1.1\r\n\r\n")
    path.server(ok)
    #expect(path.reports[0].path.utf8.count <= 515)
  }

  @Test("noise never crashes it, and never makes it hold more", arguments: Seeds.all)
  func noise(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let words = [
      get, ok, "\r\n", "0\r\n\r\n", "HTTP/1.1 100 C\r\n\r\n", "Transfer-Encoding: chunked\r\n",
      "POST / HTTP/1.1\r\n", "5\r\nhello\r\n", "x", "\n", "Content-Length: 3\r\n",
      "HTTP/1.1 200 O\r\n",
    ]
    for _ in 0..<100 {
      let scene = Scene()
      scene.step = 1 + Int(random.below(30))
      for _ in 0..<20 {
        let word = words[Int(random.below(UInt64(words.count)))]
        if random.below(2) == 0 { scene.client(word) } else { scene.server(word) }
      }
      scene.end()
      #expect(scene.reports.count <= 20)
    }
  }
}
