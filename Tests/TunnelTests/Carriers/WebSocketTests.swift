import Simulation
import Testing

@testable import Tunnel

@Suite("WebSocket frames")
struct WebSocketTests {
  private enum Found: Equatable {
    case datagram([UInt8])
    case ping([UInt8])
  }

  private static func decode(
    _ decoder: inout WebSocketDecoder, _ bytes: [UInt8], into found: inout [Found]
  ) -> WebSocketDecoder.Verdict {
    bytes.withUnsafeBytes { bytes in
      decoder.decode(bytes) { event in
        switch event {
        case .datagram(let datagram): found.append(.datagram(Array(datagram)))
        case .ping(let payload): found.append(.ping(Array(payload)))
        }
      }
    }
  }

  /// The outcome of these bytes, as a client sees them.
  private static func outcome(_ bytes: [UInt8]) -> WebSocketDecoder.Verdict {
    var decoder = WebSocketDecoder(expectsMask: false)
    var found: [Found] = []
    return decode(&decoder, bytes, into: &found)
  }

  @Test("datagrams come out whole, whatever the pieces, in both directions", arguments: Seeds.all)
  func pieces(seed: UInt64) {
    var dice = SplitMix64(seed: seed)
    let sizes = [1, 2, 43, 125, 126, 1_200, 32_768, 65_535]
    for isServer in [true, false] {
      let datagrams = (0..<30).map { _ in
        Payload.bytes(sizes.randomElement(using: &dice) ?? 1, seed: dice.next())
      }
      var encoder = CarrierEncoder(kind: .webSocket, isServer: isServer)
      var stream: [UInt8] = []
      for datagram in datagrams {
        datagram.withUnsafeBytes { encoder.encode($0) { stream.append(contentsOf: $0) } }
        if Bool.random(using: &dice) {
          datagram.prefix(20).withUnsafeBytes { payload in
            encoder.encode(.ping, payload) { stream.append(contentsOf: $0) }
          }
        }
      }
      var decoder = WebSocketDecoder(expectsMask: !isServer)
      var found: [Found] = []
      var rest = stream[...]
      while !rest.isEmpty {
        let count = Int.random(in: 1...(Bool.random(using: &dice) ? 5 : 20_000), using: &dice)
        let verdict = Self.decode(&decoder, Array(rest.prefix(count)), into: &found)
        #expect(verdict == .goOn, "seed \(seed)")
        rest = rest.dropFirst(count)
      }
      let received = found.filter { if case .datagram = $0 { true } else { false } }
      #expect(received == datagrams.map(Found.datagram), "seed \(seed)")
    }
  }

  @Test("a client masks each frame with another key, and never sends its bytes as they are")
  func masking() {
    var encoder = CarrierEncoder(kind: .webSocket, isServer: false)
    let payload = [UInt8](repeating: 0, count: 100)
    var keys: Set<[UInt8]> = []
    for _ in 0..<200 {
      payload.withUnsafeBytes { payload in
        encoder.encode(payload) { frame in
          #expect(frame[0] == 0x82 && frame[1] == 0x80 | 100)
          keys.insert(Array(frame[2..<6]))
          // Zeros, masked, are the key over and over.
          #expect((0..<100).allSatisfy { frame[6 + $0] == frame[2 + ($0 & 3)] })
        }
      }
    }
    #expect(keys.count > 190)
  }

  @Test("masking is the same whether done at once or in parts", arguments: [0, 1, 2, 3, 5, 8, 13])
  func maskingInParts(split: Int) {
    let plain = Payload.bytes(29, seed: 3)
    let key: [UInt8] = [0x37, 0xfa, 0x21, 0x3d]
    let expected = plain.indices.map { plain[$0] ^ key[$0 & 3] }
    let word = key.withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) }
    var bytes = plain
    bytes.withUnsafeMutableBytes { bytes in
      WebSocketMask.apply(
        word, to: UnsafeMutableRawBufferPointer(rebasing: bytes[..<split]), phase: 0)
      WebSocketMask.apply(
        word, to: UnsafeMutableRawBufferPointer(rebasing: bytes[split...]), phase: split)
    }
    #expect(bytes == expected)
  }

  @Test("fragments make one datagram, and a ping may come between them")
  func fragments() {
    var decoder = WebSocketDecoder(expectsMask: false)
    var found: [Found] = []
    let stream: [UInt8] = [0x02, 2, 1, 2, 0x89, 1, 9, 0x00, 0, 0x80, 1, 3, 0x82, 1, 4]
    for byte in stream { #expect(Self.decode(&decoder, [byte], into: &found) == .goOn) }
    #expect(found == [.ping([9]), .datagram([1, 2, 3]), .datagram([4])])
  }

  @Test(
    "what RFC 6455 forbids ends the stream with the code for it",
    arguments: [
      ([0x82, 0x81, 0, 0, 0, 0], .violation(.protocolError)),  // a server masks
      ([0xc2, 1], .violation(.protocolError)),  // a reserved bit
      ([0x83, 1], .violation(.protocolError)),  // an unknown opcode
      ([0x81, 1], .violation(.unsupportedData)),  // text
      ([0x80, 1], .violation(.protocolError)),  // nothing to continue
      ([0x02, 1, 0, 0x82, 1], .violation(.protocolError)),  // a message within a message
      ([0x82, 126, 0, 125], .violation(.protocolError)),  // not the shortest length
      ([0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], .violation(.protocolError)),
      ([0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], .violation(.protocolError)),  // a negative one
      ([0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0], .violation(.tooBig)),
      ([0x82, 0], .violation(.unsupportedData)),  // an empty datagram
      ([0x89, 126, 0, 126], .violation(.protocolError)),  // a long ping
      ([0x09, 1], .violation(.protocolError)),  // a ping in fragments
      ([0x88, 1, 3], .violation(.protocolError)),  // half a code
      ([0x88, 2, 0x03, 0xed], .violation(.protocolError)),  // 1005 must not be sent
      ([0x88, 3, 0x03, 0xe8, 0xff], .violation(.invalidText)),
      ([0x88, 0], .closed(code: nil)),
      ([0x88, 4, 0x03, 0xe8, 0x6f, 0x6b], .closed(code: 1_000)),
    ] as [([UInt8], WebSocketDecoder.Verdict)])
  func violations(bytes: [UInt8], verdict: WebSocketDecoder.Verdict) {
    #expect(Self.outcome(bytes) == verdict)
    // Nor does the server take what is not masked.
    var decoder = WebSocketDecoder(expectsMask: true)
    var found: [Found] = []
    #expect(Self.decode(&decoder, [0x82, 1, 1], into: &found) == .violation(.protocolError))
  }

  @Test("fragments together may not be longer than a datagram")
  func oversizedFragments() {
    var decoder = WebSocketDecoder(expectsMask: false)
    var found: [Found] = []
    let first = [0x02, 126, 0xff, 0xff] + [UInt8](repeating: 1, count: 65_535)
    #expect(Self.decode(&decoder, first, into: &found) == .goOn)
    #expect(Self.decode(&decoder, [0x80, 1], into: &found) == .violation(.tooBig))
    #expect(found.isEmpty)
  }
}
