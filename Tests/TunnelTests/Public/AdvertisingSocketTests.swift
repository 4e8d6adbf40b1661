import Simulation
import Testing

@testable import QuicTransport
@testable import Tunnel

@Suite("Telling visitors of HTTP/3")
struct AdvertisingSocketTests {
  /// What a visitor hears of these words, written in pieces to a socket that takes so many bytes.
  private func heard(_ words: String, step: Int, capacity: Int) -> String {
    let loop = SimLoop()
    let (near, far) = SimStreamSocket.pair(
      loop: loop, capacity: capacity, latency: .milliseconds(1))
    let visitor = LocalProgram(far)
    let socket = AdvertisingSocket(near, advertisement: "h3=\":443\"")
    var rest = Array(words.utf8)[...]
    for _ in 0..<10_000 where !rest.isEmpty {
      let piece = Array(rest.prefix(step))
      let result = piece.withUnsafeBytes { piece in
        withUnsafePointer(to: piece) { socket.write(UnsafeBufferPointer(start: $0, count: 1)) }
      }
      if case .moved(let count) = result {
        rest = rest.dropFirst(count)
      } else {
        loop.run(for: .milliseconds(2))
      }
    }
    loop.run(for: .milliseconds(10))
    return String(decoding: visitor.received, as: UTF8.self)
  }

  private static let field = "Alt-Svc: h3=\":443\"\r\n"

  @Test(
    "the first final answer gets the field, behind its status line",
    arguments: [1, 5, 1_000], [1, 7, 65_536])
  func place(step: Int, capacity: Int) {
    let first = "HTTP/1.1 200 OK\r\n"
    let rest = "A: b\r\n\r\nbody\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
    #expect(heard(first + rest, step: step, capacity: capacity) == first + Self.field + rest)
    let early = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    #expect(
      heard(early + first + rest, step: step, capacity: capacity)
        == early + first + Self.field + rest)
  }

  @Test("words that are written at once are taken at once")
  func whole() {
    let loop = SimLoop()
    let (near, far) = SimStreamSocket.pair(
      loop: loop, capacity: 65_536, latency: .milliseconds(1))
    let visitor = LocalProgram(far)
    let socket = AdvertisingSocket(near, advertisement: "h3")
    Farewell.say(PublicAnswer.away, to: socket, loop: loop)
    loop.run(for: .seconds(5))
    let heard = String(decoding: visitor.received, as: UTF8.self)
    #expect(heard.hasPrefix("HTTP/1.1 502 Bad Gateway\r\nAlt-Svc: h3\r\n"))
    #expect(heard.hasSuffix("try again in a moment\n") && visitor.sawEnd)
  }

  @Test(
    "what is no answer of HTTP/1, or leaves it, passes as it is", arguments: [1, 1_000])
  func untouched(step: Int) {
    for words in [
      "HTTP/1.1 101 Switching\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "hello\r\nyou\r\n", "\r\n",
    ] {
      #expect(heard(words, step: step, capacity: 100) == words)
    }
  }
}
