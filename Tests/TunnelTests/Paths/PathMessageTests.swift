import QuicTransport
import Testing

@testable import Tunnel

@Suite("Path messages")
struct PathMessageTests {
  private let key = SecretBytes([UInt8](repeating: 1, count: 32))
  private let message = PathMessage(
    type: .probe, session: SessionID(number: 0x0102_0304_0506_0708), number: 9, argument: 10)

  @Test("what is encoded is decoded, and all messages have one size")
  func roundTrip() {
    let bytes = message.encoded(key: key)
    #expect(bytes.count == PathMessage.byteCount)
    bytes.withUnsafeBytes { bytes in
      #expect(PathMessage(bytes, key: key) == message)
      #expect(PathMessage.session(of: bytes) == message.session)
    }
  }

  @Test("a single changed bit makes a message nobody's")
  func tampering() {
    let bytes = message.encoded(key: key)
    for bit in 0..<bytes.count * 8 {
      var altered = bytes
      altered[bit / 8] ^= 1 << (bit % 8)
      altered.withUnsafeBytes { #expect(PathMessage($0, key: key) == nil) }
    }
  }

  @Test("another key, a shorter and a longer message are refused")
  func foreign() {
    let bytes = message.encoded(key: SecretBytes([UInt8](repeating: 2, count: 32)))
    bytes.withUnsafeBytes { #expect(PathMessage($0, key: key) == nil) }
    let own = message.encoded(key: key)
    Array(own.dropLast()).withUnsafeBytes { #expect(PathMessage($0, key: key) == nil) }
    var answer = message
    answer.type = .probeAnswer
    (answer.encoded(key: key) + [0]).withUnsafeBytes { #expect(PathMessage($0, key: key) == nil) }
    [UInt8]().withUnsafeBytes { #expect(PathMessage.session(of: $0) == nil) }
  }

  @Test("a probe may be as large as a packet")
  func padding() {
    var probe = message
    probe.type = .probe
    let bytes = probe.encoded(key: key, size: 1_200)
    #expect(bytes.count == 1_200)
    bytes.withUnsafeBytes { #expect(PathMessage($0, key: key) == probe) }
    #expect(probe.encoded(key: key, size: 1).count == PathMessage.byteCount)
  }

  @Test("both sides derive the same session and mirrored keys")
  func keys() throws {
    let exported = [UInt8](0..<72)
    let client = try #require(PathKeys(exported: exported, isServer: false))
    let server = try #require(PathKeys(exported: exported, isServer: true))
    #expect(client.session == server.session)
    #expect(client.session.number == 0x0001_0203_0405_0607)
    let bytes = message.encoded(key: client.sending)
    bytes.withUnsafeBytes { bytes in
      #expect(PathMessage(bytes, key: server.receiving) == message)
      #expect(PathMessage(bytes, key: server.sending) == nil)
    }
    #expect(PathKeys(exported: Array(exported.dropLast()), isServer: false) == nil)
  }
}
