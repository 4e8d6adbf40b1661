import Simulation
import Testing

@testable import Tunnel

@Suite("Control decoder")
struct ControlDecoderTests {
  @Test("messages come out alike, whatever the pieces they arrive in", arguments: Seeds.all)
  func anySplit(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let messages = ControlMessageTests.samples.shuffled(using: &random)
    let bytes = messages.flatMap(\.encoded)
    for _ in 0..<50 {
      var decoder = ControlDecoder()
      var decoded: [ControlMessage] = []
      var offset = 0
      while offset < bytes.count {
        let count = min(bytes.count - offset, 1 + Int(random.below(1 << random.below(14))))
        decoder.append(bytes[offset..<offset + count])
        offset += count
        while case .message(let message) = decoder.next() { decoded.append(message) }
      }
      #expect(decoded == messages)
      #expect(decoder.next() == .needsMore)
    }
  }

  @Test("one byte at a time is enough, and no byte too many is waited for")
  func singleBytes() {
    for message in ControlMessageTests.samples {
      var decoder = ControlDecoder()
      for byte in message.encoded.dropLast() {
        decoder.append([byte])
        #expect(decoder.next() == .needsMore)
      }
      decoder.append(message.encoded.suffix(1))
      #expect(decoder.next() == .message(message))
    }
  }

  @Test("types of later versions come out as unknown, with their body skipped")
  func unknownTypes() {
    var writer = WireWriter()
    writer.varint(1 << 61)
    writer.prefixed([UInt8](repeating: 0xee, count: ControlMessage.bodyMax))
    var decoder = ControlDecoder()
    let goodbye = ControlMessage.goodbye(ControlMessage.Goodbye(reason: "x"))
    decoder.append(writer.bytes + goodbye.encoded)
    #expect(decoder.next() == .message(.unknown(type: 1 << 61)))
    #expect(decoder.next() == .message(goodbye))
  }

  @Test("a body above the limit is refused at its length, before it is there")
  func oversize() {
    var writer = WireWriter()
    writer.varint(77)
    writer.varint(UInt64(ControlMessage.bodyMax + 1))
    var decoder = ControlDecoder()
    decoder.append(writer.bytes)
    #expect(decoder.next() == .malformed)

    var huge = ControlDecoder()
    huge.append([UInt8](repeating: 0xff, count: 16))
    #expect(huge.next() == .malformed)
  }

  @Test("a body that contradicts its type is malformed")
  func badBody() {
    var decoder = ControlDecoder()
    decoder.append([1, 1, 1])
    #expect(decoder.next() == .malformed)
  }

  @Test("random bytes never crash it", arguments: Seeds.all)
  func noise(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    for _ in 0..<500 {
      var decoder = ControlDecoder()
      var bytes = Payload.bytes(Int(random.below(200)), seed: random.next())
      // Half of the time a type that is decoded, and a length that is there.
      if bytes.count > 2, random.chance(0.5) {
        bytes[0] = UInt8(1 + random.below(3))
        bytes[1] = UInt8(min(63, bytes.count - 2))
      }
      decoder.append(bytes)
      // Every message takes two bytes at least, so that this ends.
      var steps = 0
      while case .message = decoder.next() { steps += 1 }
      #expect(steps <= bytes.count / 2)
    }
  }
}
