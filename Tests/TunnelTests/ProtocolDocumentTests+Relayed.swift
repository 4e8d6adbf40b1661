import QuicTransport
import Testing

@testable import Tunnel

extension ProtocolDocumentTests {
  func checkRelayed(_ vector: Vector) throws {
    let bytes = try vector.bytes("hex")
    let kind = try #require(RelayHeader.Kind(rawValue: UInt8(try vector.number("kind"))))
    let session = UInt32(try vector.number("session"))
    let generation = UInt32(try vector.number("generation"))
    guard kind != .data else {
      let header = RelayHeader(
        kind: kind, sequence: UInt16(try vector.number("sequence")), session: session,
        generation: generation)
      #expect(header.encoded + (try vector.bytes("payload")) == bytes)
      bytes.withUnsafeBytes { #expect(RelayHeader($0) == header) }
      return
    }
    let key = SecretBytes(try vector.bytes("key"))
    let message = BindMessage(
      kind: kind, session: session, generation: generation, cookie: try vector.bytes("cookie"))
    #expect(message.encoded(key: key) == bytes)
    bytes.withUnsafeBytes { #expect(BindMessage($0, key: key) == message) }
    for index in bytes.indices {
      var damaged = bytes
      damaged[index] ^= 1
      damaged.withUnsafeBytes { #expect(BindMessage($0, key: key) == nil) }
    }
  }

  func checkForwarding(_ vector: Vector) throws {
    let introduction = try vector.number("introduction")
    let message: ForwardingMessage
    switch try vector.text("name") {
    case "leg":
      let grant = LegGrant(
        session: UInt32(try vector.number("session")),
        generation: UInt32(try vector.number("generation")), key: try vector.bytes("key"))
      message = .leg(introduction: introduction, grant)
    case "refused":
      message = .refused(introduction: introduction, reason: UInt8(try vector.number("reason")))
    case "ended": message = .ended(introduction: introduction)
    default:
      message = .throttled(
        introduction: introduction, bytesPerSecond: try vector.number("rate"))
    }
    let bytes = try vector.bytes("hex")
    #expect(RelayMessage.forwarding(message).encoded == bytes)
    var decoder = MessageDecoder<RelayMessage>()
    decoder.append(bytes)
    #expect(decoder.next() == .message(.forwarding(message)))
  }
}
