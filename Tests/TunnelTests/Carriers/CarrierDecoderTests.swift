import QuicTransport
import Testing

@testable import Tunnel

@Suite("How a carrier begins")
struct CarrierDecoderTests {
  /// What came of feeding a decoder these bytes, one by one.
  private struct Outcome {
    var opened: CarrierKind?
    var datagrams: [[UInt8]] = []
    var answer = ""
    var verdict = CarrierDecoder.Verdict.goOn

    init(_ decoder: CarrierDecoder, _ bytes: [UInt8], pieceSize: Int = 1) {
      var decoder = decoder
      var rest = bytes[...]
      while !rest.isEmpty, verdict == .goOn {
        let piece = Array(rest.prefix(pieceSize))
        rest = rest.dropFirst(pieceSize)
        verdict = piece.withUnsafeBytes { piece in
          decoder.decode(piece) { event in
            switch event {
            case .opened(let kind): opened = kind
            case .datagram(let datagram): datagrams.append(Array(datagram))
            case .ping: break
            case .answer(let bytes): answer += String(decoding: bytes, as: UTF8.self)
            }
          }
        }
      }
    }
  }

  private static let request = String(
    decoding: WebSocketUpgrade.request(host: "192.0.2.1:443", key: "dGhlIHNhbXBsZSBub25jZQ=="),
    as: UTF8.self)
  private static let message: [UInt8] = [0x82, 0x82, 1, 2, 3, 4, 5 ^ 1, 6 ^ 2]

  @Test("the first byte tells the kinds apart, whatever the pieces", arguments: [1, 3, 10_000])
  func kinds(pieceSize: Int) {
    let tcp = Outcome(
      CarrierDecoder(), FrameHeader.preface + [0, 2, 5, 6], pieceSize: pieceSize)
    #expect(tcp.opened == .tcp && tcp.datagrams == [[5, 6]] && tcp.answer.isEmpty)
    let webSocket = Outcome(
      CarrierDecoder(), Array(Self.request.utf8) + Self.message, pieceSize: pieceSize)
    #expect(webSocket.opened == .webSocket && webSocket.datagrams == [[5, 6]])
    // RFC 6455 §1.3 has this pair.
    #expect(webSocket.answer.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"))
    #expect(webSocket.answer.hasPrefix("HTTP/1.1 101 "))
    #expect(webSocket.answer.contains("Sec-WebSocket-Protocol: qtun.1\r\n"))
  }

  @Test(
    "what is neither ends at once, without a word", arguments: ["POST / HTTP/1.1\r\n", "*qtux"])
  func foreign(text: String) {
    let outcome = Outcome(CarrierDecoder(), Array(text.utf8))
    #expect(outcome.verdict == .foreign && outcome.answer.isEmpty && outcome.opened == nil)
  }

  @Test(
    "a request for anything else is answered and ended",
    arguments: [
      ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "404"),
      ("GET /qtun HTTP/1.1\r\nHost: a\r\n\r\n", "426"),
      (request.replacingFirst("Version: 13", "Version: 8"), "426"),
      (request.replacingFirst("Upgrade: websocket", "Upgrade: h2c"), "426"),
      (request.replacingFirst("dGhlIHNhbXBsZSBub25jZQ==", "short"), "400"),
      (request.replacingFirst("qtun.1", "chat"), "400"),
      (request.replacingFirst("Host: ", "Hast: "), "400"),
      (request.replacingFirst("HTTP/1.1", "HTTP/1.0"), "400"),
      (
        request.replacingFirst("Sec-WebSocket-Key", "Sec-WebSocket-Key: a\r\nSec-WebSocket-Key"),
        "400"
      ),
      ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400"),
      ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", "400"),
      ("GARBAGE\r\n\r\n", "400"),
      ("G\0", "400"),
    ])
  func refusals(text: String, status: String) {
    let outcome = Outcome(CarrierDecoder(), Array(text.utf8))
    #expect(outcome.answer.hasPrefix("HTTP/1.1 \(status) "), "\(outcome.answer)")
    #expect(outcome.verdict == .answered && outcome.opened == nil)
  }

  @Test("a head without an end is not waited for beyond its bound")
  func endlessHead() {
    let head = "GET / HTTP/1.1\r\n" + String(repeating: "X: y\r\n", count: 2_000)
    let outcome = Outcome(CarrierDecoder(), Array(head.utf8))
    #expect(outcome.verdict == .answered && outcome.answer.hasPrefix("HTTP/1.1 400 "))
  }

  @Test("a client takes no answer but the right one")
  func client() {
    let key = WebSocketUpgrade.makeKey()
    let good =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      + "Sec-WebSocket-Accept: \(WebSocketUpgrade.accept(key))\r\n"
      + "Sec-WebSocket-Protocol: qtun.1\r\n\r\n"
    let opened = Outcome(CarrierDecoder(key: key), Array(good.utf8) + [0x82, 1, 7])
    #expect(opened.opened == .webSocket && opened.datagrams == [[7]] && opened.verdict == .goOn)
    for (old, new) in [
      ("101", "200"), ("Upgrade: websocket", "Upgrade: h2c"), ("Connection: Upgrade", "A: b"),
      ("Accept: ", "Accept: x"), ("qtun.1", "chat"),
      ("Connection", "Sec-WebSocket-Extensions: permessage-deflate\r\nConnection"),
      ("HTTP/1.1", "ICY/1.1"),
    ] {
      let outcome = Outcome(
        CarrierDecoder(key: key), Array(good.replacingFirst(old, new).utf8))
      #expect(outcome.verdict == .foreign && outcome.opened == nil, "\(old) to \(new)")
      #expect(outcome.answer.isEmpty)
    }
    let endless = [UInt8](repeating: UInt8(ascii: "H"), count: 10_000)
    #expect(Outcome(CarrierDecoder(key: key), endless).verdict == .foreign)
  }
}

extension String {
  fileprivate func replacingFirst(_ old: String, _ new: String) -> String {
    guard let range = firstRange(of: old) else { return self }
    return self[..<range.lowerBound] + new + self[range.upperBound...]
  }
}
