import Simulation
import Testing

@testable import Tunnel

@Suite("Body framing")
struct BodyFramingTests {
  private func end(_ text: String, _ framing: BodyFraming, step: Int) -> Int? {
    var counter = BodyCounter(framing)
    let bytes = Array(text.utf8)
    var offset = 0
    while true {
      let piece = bytes[offset..<min(offset + step, bytes.count)]
      switch counter.read(piece) {
      case .goesOn: offset += piece.count
      case .ended(let count): return offset + count
      case .malformed: return nil
      }
      if offset == bytes.count { return -1 }
    }
  }

  @Test("a length counts", arguments: [1, 3, 100])
  func length(step: Int) {
    #expect(end("hello, next", .length(5), step: step) == 5)
    #expect(end("hell", .length(5), step: step) == -1)
    #expect(end("x", .length(0), step: step) == 0)
    #expect(end("x", .untilClose, step: step) == -1)
  }

  @Test("chunks end with the empty line of their trailer", arguments: [1, 3, 100])
  func chunks(step: Int) {
    let whole = [
      "0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n",
      "00A;x=\"y\"\r\n0123456789\r\n0;a\r\nA: b\r\nC:\r\n\r\n",
    ]
    for text in whole {
      #expect(end(text + "next", .chunked, step: step) == text.utf8.count)
      #expect(end(String(text.dropLast()), .chunked, step: step) == -1)
    }
    // Each chunk may have its extension, however many there are.
    let many = String(repeating: "1;signature=0123456789\r\nx\r\n", count: 2_000) + "0\r\n\r\n"
    #expect(end(many, .chunked, step: step) == many.utf8.count)
  }

  @Test(
    "what is no chunk is found out",
    arguments: [
      "\r\n", "g\r\n", "5\nhello\r\n", "5\r\nhelloX", "5\r\nhello\rX", "-1\r\n", " 5\r\n", "5;\n",
      "0\r\nA\n", "0\r\n\rX", "1234567890abcdef\r\n", ";x\r\n",
    ])
  func malformed(text: String) {
    for step in [1, 100] { #expect(end(text, .chunked, step: step) == nil) }
  }

  @Test("lines between chunks are bounded")
  func bounds() {
    #expect(end("5;" + String(repeating: "x", count: 20_000), .chunked, step: 1_000) == nil)
    #expect(
      end("0\r\n" + String(repeating: "A: b\r\n", count: 4_000), .chunked, step: 1_000) == nil)
  }

  @Test("of requests, only what every reader reads alike is taken")
  func requests() {
    func framing(_ codings: [String], _ lengths: [String], minor: Int = 1) -> BodyFraming? {
      BodyFraming.ofRequest(codings: codings, lengths: lengths, minorVersion: minor)
    }
    #expect(framing([], []) == .length(0))
    #expect(framing([], ["7"]) == .length(7))
    #expect(framing(["chunked"], []) == .chunked)
    for lengths in [["7", "7"], ["7, 7"], [""], ["-1"], ["0x7"], [" 7"], ["9999999999999999999"]] {
      #expect(framing([], lengths) == nil)
    }
    for codings in [["gzip"], ["gzip", "chunked"], ["chunked", "chunked"], ["chunked", "gzip"]] {
      #expect(framing(codings, []) == nil)
    }
    #expect(framing(["chunked"], ["7"]) == nil)
    #expect(framing(["chunked"], [], minor: 0) == nil)
  }

  @Test("of answers, what RFC 9112 says")
  func answers() {
    #expect(BodyFraming.ofAnswer(codings: [], lengths: []) == .untilClose)
    #expect(BodyFraming.ofAnswer(codings: ["gzip", "chunked"], lengths: ["7"]) == .chunked)
    #expect(BodyFraming.ofAnswer(codings: ["gzip"], lengths: ["7"]) == .untilClose)
    #expect(BodyFraming.ofAnswer(codings: [], lengths: ["7", "7"]) == .length(7))
    #expect(BodyFraming.ofAnswer(codings: [], lengths: ["7", "8"]) == nil)
  }
}
