import QuicTransport
import Testing

@testable import Tunnel

@Suite("Control message")
struct ControlMessageTests {
  private static let proof = [UInt8](repeating: 0xab, count: 32)

  static let samples: [ControlMessage] = [
    .hello(ControlMessage.Hello(version: 1, capabilities: 0, proof: proof)),
    .hello(
      ControlMessage.Hello(
        version: 1, capabilities: 0, proof: proof, grant: [UInt8](repeating: 7, count: 1_024))),
    .hello(ControlMessage.Hello(version: (1 << 62) - 1, capabilities: 1 << 61, proof: [])),
    .welcome(ControlMessage.Welcome(version: 1, capabilities: 0, services: [])),
    .welcome(
      ControlMessage.Welcome(
        version: 2, capabilities: 5,
        services: (0..<ControlMessage.servicesMax).map {
          ControlMessage.Service(
            name: String(repeating: "n", count: $0 * 4), port: UInt16($0),
            kind: .init(number: UInt8($0 % 3)))
        })),
    .goodbye(ControlMessage.Goodbye(reason: "")),
    .goodbye(ControlMessage.Goodbye(reason: "bis später")),
    .finished,
    .listen(
      ControlMessage.Listen(
        number: 0, kind: .tcp, address: SocketAddress.loopbackIPv4.with(port: 8_080))),
    .listen(ControlMessage.Listen(number: 1 << 61, kind: .unknown(9), address: .any)),
    .listening(ControlMessage.Listening(number: 63, status: .addressInUse, address: .anyIPv4)),
    .listening(ControlMessage.Listening(number: 64, status: .other(99), address: .any)),
    .unlisten(7),
    .lost(SessionID(number: 0x0102_0304_0506_0708)),
    .ping([]),
    .pong([UInt8](repeating: 9, count: ControlMessage.pingMax)),
    .unknown(type: 77),
  ]

  @Test("every kind survives encoding", arguments: samples)
  func roundTrip(message: ControlMessage) throws {
    let (type, body) = try split(message)
    #expect(ControlMessage(type: type, body: body) == message)
  }

  @Test("bytes after the known fields are ignored", arguments: samples)
  func laterFields(message: ControlMessage) throws {
    let (type, body) = try split(message)
    #expect(ControlMessage(type: type, body: body + [1, 2, 3]) == message)
  }

  @Test("a body that ends within a known field is malformed", arguments: samples)
  func truncated(message: ControlMessage) throws {
    let (type, body) = try split(message)
    for count in 0..<body.count {
      #expect(ControlMessage(type: type, body: Array(body.prefix(count))) == nil)
    }
  }

  @Test("a WELCOME that names a service twice is malformed")
  func serviceTwice() throws {
    let service = ControlMessage.Service(name: "web", port: 80, kind: .stream)
    let welcome = ControlMessage.Welcome(version: 1, capabilities: 0, services: [service, service])
    let (type, body) = try split(.welcome(welcome))
    #expect(ControlMessage(type: type, body: body) == nil)
  }

  @Test("limits on proofs, services, names and reasons hold")
  func limits() {
    var long = WireWriter()
    long.raw([1, 0])
    long.prefixed([UInt8](repeating: 0, count: 65))
    #expect(ControlMessage(type: 1, body: long.bytes) == nil)

    var grant = WireWriter()
    grant.raw([1, 0, 0])
    grant.prefixed([UInt8](repeating: 0, count: Grant.bytesMax + 1))
    #expect(ControlMessage(type: 1, body: grant.bytes) == nil)

    var services = WireWriter()
    services.raw([1, 0])
    services.varint(UInt64(ControlMessage.servicesMax + 1))
    services.raw([UInt8](repeating: 0, count: 3 * (ControlMessage.servicesMax + 1)))
    #expect(ControlMessage(type: 2, body: services.bytes) == nil)

    var name = WireWriter()
    name.raw([1, 0, 1])
    name.prefixed([UInt8](repeating: 0x61, count: ControlMessage.nameMax + 1))
    name.uint16(1)
    #expect(ControlMessage(type: 2, body: name.bytes) == nil)

    var reason = WireWriter()
    reason.prefixed([UInt8](repeating: 0x61, count: 513))
    #expect(ControlMessage(type: 3, body: reason.bytes) == nil)
  }

  @Test("a service of an unknown kind keeps its place, and so do its neighbours")
  func unknownKind() {
    let body: [UInt8] = [1, 0, 2, 1, 0x61, 0, 1, 1, 0x62, 0, 2, 200, 2]
    let services = [
      ControlMessage.Service(name: "a", port: 1, kind: .unknown(200)),
      ControlMessage.Service(name: "b", port: 2, kind: .dynamic),
    ]
    let welcome = ControlMessage.Welcome(version: 1, capabilities: 0, services: services)
    #expect(ControlMessage(type: 2, body: body) == .welcome(welcome))
  }

  @Test("a long reason is cut to what the receiver takes")
  func longReason() throws {
    let message = ControlMessage.goodbye(
      ControlMessage.Goodbye(reason: String(repeating: "r", count: 2_000)))
    let (type, body) = try split(message)
    let expected = ControlMessage.Goodbye(reason: String(repeating: "r", count: 512))
    #expect(ControlMessage(type: type, body: body) == .goodbye(expected))
  }

  @Test("text that is not UTF-8 is repaired, not refused")
  func brokenText() {
    let message = ControlMessage(type: 3, body: [2, 0xff, 0x61])
    #expect(message == .goodbye(ControlMessage.Goodbye(reason: "\u{fffd}a")))
  }

  private func split(_ message: ControlMessage) throws -> (type: UInt64, body: [UInt8]) {
    var reader = WireReader(message.encoded)
    let type = reader.varint()
    let body = reader.prefixed(max: ControlMessage.bodyMax)
    #expect(reader.count == 0)
    return (try #require(type), Array(try #require(body)))
  }
}
