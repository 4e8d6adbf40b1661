import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("The admin address", .timeLimit(.minutes(1)))
struct AdminExchangeTests {
  private let loop = SimLoop()

  private final class Scene {
    let client: LocalProgram
    private(set) var isOver = false
    private var exchange: AdminExchange?

    init(loop: SimLoop, capacity: Int = 65_536, body: String = "all is well\n") {
      let (near, far) = SimStreamSocket.pair(
        loop: loop, capacity: capacity, latency: .milliseconds(1))
      client = LocalProgram(far)
      exchange = AdminExchange(
        socket: near, loop: loop,
        answer: { path in
          path == "/healthz"
            ? AdminResponse(.ok, body: body) : AdminResponse(.notFound, body: "no\n")
        }, ended: { [weak self] _ in self?.isOver = true })
    }

    var answer: String { String(decoding: client.received, as: UTF8.self) }
  }

  private func answer(to request: String) -> String {
    let scene = Scene(loop: loop)
    scene.client.finishesAtEnd = true
    scene.client.send(Array(request.utf8))
    loop.run(for: .seconds(1))
    #expect(scene.isOver, "\(request)")
    return scene.answer
  }

  @Test("GET is answered with the whole body, HEAD with none of it, both with its length")
  func methods() {
    let whole = answer(to: "GET /healthz?x=1 HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(whole.hasPrefix("HTTP/1.1 200 OK\r\n") && whole.hasSuffix("\r\n\r\nall is well\n"))
    #expect(whole.contains("Content-Length: 12\r\n") && whole.contains("Connection: close\r\n"))
    let head = answer(to: "HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(head.contains("Content-Length: 12\r\n") && head.hasSuffix("\r\n\r\n"))
  }

  @Test(
    "what is not served has a status that says so",
    arguments: [
      ("GET / HTTP/1.1\r\n\r\n", "404"), ("PUT /healthz HTTP/1.1\r\n\r\n", "405"),
      ("nonsense\r\n\r\n", "400"), ("\u{1}\u{2}", "400"),
      ("GET /healthz HTTP/1.1\r\nA: " + String(repeating: "a", count: 9_000), "431"),
    ])
  func refused(request: String, status: String) {
    #expect(answer(to: request).hasPrefix("HTTP/1.1 \(status) "))
  }

  @Test("a request in pieces is taken, one that stops is cut off")
  func slow() {
    let scene = Scene(loop: loop)
    scene.client.finishesAtEnd = true
    for byte in "GET /healthz HTTP/1.1\r\n\r\n".utf8 {
      scene.client.send([byte])
      loop.run(for: .milliseconds(100))
    }
    loop.run(for: .seconds(1))
    #expect(scene.answer.contains("200 OK") && scene.isOver)
    let idle = Scene(loop: loop)
    idle.client.send(Array("GET /healthz".utf8))
    loop.run(for: .seconds(9))
    #expect(!idle.isOver)
    loop.run(for: .seconds(2))
    #expect(idle.isOver && idle.client.received.isEmpty)
  }

  @Test("whoever reads nothing, or never ends, is cut off")
  func stalled() {
    let scene = Scene(loop: loop, capacity: 1_024, body: String(repeating: "x", count: 100_000))
    scene.client.reads = false
    scene.client.send(Array("GET /healthz HTTP/1.1\r\n\r\n".utf8))
    loop.run(for: .seconds(11))
    #expect(scene.isOver)
    let open = Scene(loop: loop)
    open.client.send(Array("GET /healthz HTTP/1.1\r\n\r\n".utf8))
    loop.run(for: .seconds(5))
    #expect(open.answer.contains("200 OK") && !open.isOver)
    loop.run(for: .seconds(6))
    #expect(open.isOver)
  }
}
