import Glibc
import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Host socket")
struct HostSocketTests {
  private let loop = SimLoop()
  private let request = "GET /1 HTTP/1.1\r\nHost: a.example\r\n\r\n"
  private let other = "GET /2 HTTP/1.1\r\nHost: b.example\r\nCookie: secret\r\n\r\n"
  private let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

  /// What stands behind the socket: a splice to a share.
  private final class Far: StreamSocketHandler {
    let socket: HostSocket
    var received: [UInt8] = []
    var sawEnd = false
    var failure: Int32?
    var size = 65_536

    init(_ socket: HostSocket) {
      self.socket = socket
      socket.handler = self
      pump()
    }

    var text: String { String(decoding: received, as: UTF8.self) }

    func answer(_ text: String) {
      let bytes = Array(text.utf8)
      _ = bytes.withUnsafeBytes { bytes in
        withUnsafePointer(to: bytes) {
          socket.write(UnsafeBufferPointer(start: $0, count: 1))
        }
      }
    }

    /// As `Splice` does: a short read is the last until the next edge.
    func pump() {
      withUnsafeTemporaryAllocation(byteCount: size, alignment: 1) { buffer in
        while !sawEnd, failure == nil {
          switch socket.read(into: buffer) {
          case .moved(let count):
            received.append(contentsOf: buffer[..<count])
            if count < buffer.count { return }
          case .blocked: return
          case .ended: sawEnd = true
          case .failed(let code): failure = code
          }
        }
      }
    }

    func streamSocketConnected() {}
    func streamSocketFailed(_ code: Int32) { failure = code }
    func streamSocketReady(_ readiness: Readiness) { pump() }
  }

  private func connect(_ first: String, size: Int = 65_536) -> (LocalProgram, Far) {
    let (near, far) = SimStreamSocket.pair(
      loop: loop, capacity: 65_536, latency: .microseconds(50))
    let client = LocalProgram(far)
    let socket = HostSocket(near, host: "a.example", bytes: Array(first.utf8), loop: loop)
    let share = Far(socket)
    share.size = size
    share.pump()
    return (client, share)
  }

  private func heard(_ client: LocalProgram) -> String {
    String(decoding: client.received, as: UTF8.self)
  }

  private func settle() {
    loop.run(for: .milliseconds(20))
  }

  @Test(
    "requests for the same host pass untouched, in pieces of any size", arguments: [1, 7, 65_536])
  func sameHost(size: Int) {
    let body = "POST /2 HTTP/1.1\r\nhost: A.example:80\r\nContent-Length: 5\r\n\r\nhello"
    let chunked =
      "\r\nPUT /3 HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n"
      + "5;x=y\r\nhello\r\n0\r\nT: v\r\n\r\n"
    let (client, share) = connect(request, size: size)
    #expect(share.text.hasPrefix("G"))
    for byte in Array((body + chunked + request).utf8) {
      client.send([byte])
      loop.run(for: .microseconds(200))
    }
    settle()
    #expect(share.text == request + body + chunked + request)
    for _ in 0..<4 { share.answer(answer) }
    settle()
    #expect(heard(client) == answer + answer + answer + answer)
    client.send(Array((body + chunked + request).utf8), finishing: true)
    settle()
    #expect(share.text == request + body + chunked + request + body + chunked + request)
    #expect(share.sawEnd)
  }

  @Test("a request for another host is answered with 421, and no byte of it goes on")
  func otherHost() {
    let (client, share) = connect(request)
    share.answer(answer)
    for piece in [other.prefix(20), other.dropFirst(20)] {
      client.send(Array(piece.utf8))
      settle()
      #expect(share.text == request)
    }
    #expect(share.sawEnd)
    #expect(heard(client).hasPrefix(answer + "HTTP/1.1 421 "))
    loop.run(for: .seconds(3))
    #expect(client.sawEnd && client.failure == nil)
  }

  @Test("answers that are due come before the 421")
  func pipelined() {
    let (client, share) = connect(request + request + other)
    settle()
    #expect(share.text == request + request && share.sawEnd)
    share.answer("HTTP/1.1 100 Continue\r\n\r\n" + answer)
    settle()
    #expect(!heard(client).contains("421"))
    share.answer(answer)
    settle()
    #expect(heard(client).contains("okHTTP/1.1 421 "))
  }

  @Test(
    "what could be read in two ways is refused",
    arguments: [
      "Content-Length: 3\r\nTransfer-Encoding: chunked", "Content-Length: 3\r\nContent-Length: 4",
      "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: identity", "Content-Length: +3",
      "Content-Length: 3, 3", "Transfer-Encoding: chun\u{212a}ed",
    ])
  func smuggling(fields: String) {
    let (client, share) = connect(request)
    share.answer(answer)
    client.send(Array("POST / HTTP/1.1\r\nHost: a.example\r\n\(fields)\r\n\r\nabc".utf8))
    settle()
    #expect(share.text == request && share.sawEnd)
    #expect(heard(client).contains("HTTP/1.1 400 "))
  }

  @Test("empty lines between requests pass, however many; an odd one waits for its end")
  func emptyLines() {
    let (client, share) = connect(request)
    share.answer(answer)
    let lines = String(repeating: "\r\n", count: 20_000)
    client.send(Array((lines + "\r").utf8))
    loop.run(for: .seconds(1))
    #expect(share.text == request + lines)
    client.send(Array(("\n" + request).utf8))
    settle()
    #expect(share.text == request + lines + "\r\n" + request)
  }

  @Test("chunks that are none end the connection")
  func badChunks() {
    let head = "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n"
    let (client, share) = connect(head)
    client.send(Array("5\r\nhello\r\nzz\r\n".utf8))
    settle()
    #expect(share.sawEnd)
    share.answer(answer)
    settle()
    #expect(heard(client).hasPrefix(answer + "HTTP/1.1 400 "))
  }

  @Test("a later head that does not come to its end in time is answered with 408")
  func slow() {
    let (client, share) = connect(request)
    share.answer(answer)
    loop.run(for: .seconds(60))
    #expect(!share.sawEnd && !client.isOver)
    for byte in Array(request.utf8.prefix(15)) {
      client.send([byte])
      loop.run(for: .milliseconds(700))
    }
    #expect(heard(client).hasPrefix(answer + "HTTP/1.1 408 "))
    #expect(share.text == request && share.sawEnd)
  }

  @Test("a share that dies before its answer is a 502, one that dies within it a reset")
  func death() {
    let (client, share) = connect(request)
    share.socket.close(resetting: true)
    loop.run(for: .seconds(3))
    #expect(heard(client).hasPrefix("HTTP/1.1 502 ") && heard(client).contains("away"))
    #expect(client.sawEnd && client.failure == nil)

    let (second, dying) = connect(request)
    dying.answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok")
    settle()
    dying.socket.close(resetting: true)
    settle()
    #expect(second.failure == ECONNRESET)

    let (idle, resting) = connect(request)
    resting.answer(answer)
    settle()
    resting.socket.close(resetting: true)
    settle()
    #expect(idle.sawEnd && idle.failure == nil && heard(idle) == answer)
  }

  @Test("an upgrade passes everything, once it is granted")
  func upgrade() {
    let wish =
      "GET /chat HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"
    let (client, share) = connect(wish)
    client.send(Array(other.utf8))
    settle()
    #expect(share.text == wish)
    share.answer("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
    settle()
    #expect(share.text == wish + other)
    client.send([0x81, 0, 0xff])
    share.answer("\u{0}\u{1}")
    settle()
    #expect(share.received.suffix(3) == [0x81, 0, 0xff])
    #expect(heard(client).hasSuffix("\u{0}\u{1}"))
  }

  @Test("an upgrade that is not granted leaves a connection of requests")
  func upgradeRefused() {
    let wish = "GET / HTTP/1.1\r\nHost: a.example\r\nUpgrade: h2c\r\n\r\n"
    let (client, share) = connect(wish)
    client.send(Array((request + other).utf8))
    settle()
    #expect(share.text == wish)
    share.answer(answer)
    settle()
    #expect(share.text == wish + request)
    share.answer(answer)
    settle()
    #expect(heard(client).contains("HTTP/1.1 421 "))
  }

  @Test("requests that are sent far ahead wait for answers")
  func crowd() {
    let count = AnswerReader.requestsMax + 10
    let (client, share) = connect(String(repeating: request, count: count))
    settle()
    #expect(share.received.count == request.utf8.count * AnswerReader.requestsMax)
    for _ in 0..<count {
      share.answer(answer)
      settle()
    }
    #expect(share.received.count == request.utf8.count * count)
    #expect(client.received.count == answer.utf8.count * count)
  }
}
