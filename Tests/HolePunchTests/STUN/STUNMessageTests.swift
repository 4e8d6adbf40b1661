import QuicTransport
import Simulation
import Testing

@testable import HolePunch

@Suite("STUN messages")
struct STUNMessageTests {
  private static let transaction: [UInt8] = [
    0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae,
  ]
  /// RFC 5769 §2.1
  static let sampleRequest: [UInt8] =
    [0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42] + transaction
    + [0x80, 0x22, 0x00, 0x10] + Array("STUN test client".utf8)
    + [0x00, 0x24, 0x00, 0x04, 0x6e, 0x00, 0x01, 0xff]
    + [0x80, 0x29, 0x00, 0x08, 0x93, 0x2f, 0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36]
    + [0x00, 0x06, 0x00, 0x09] + Array("evtj:h6vY   ".utf8)
    + [0x00, 0x08, 0x00, 0x14, 0x9a, 0xea, 0xa7, 0x0c, 0xbf, 0xd8, 0xcb, 0x56, 0x78, 0x1e]
    + [0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49, 0xc1, 0xb5, 0x71, 0xa2]
    + [0x80, 0x28, 0x00, 0x04, 0xe5, 0x7a, 0x3b, 0xcf]
  /// RFC 5769 §2.2
  static let sampleResponseIPv4: [UInt8] =
    [0x01, 0x01, 0x00, 0x3c, 0x21, 0x12, 0xa4, 0x42] + transaction
    + [0x80, 0x22, 0x00, 0x0b] + Array("test vector ".utf8)
    + [0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]
    + [0x00, 0x08, 0x00, 0x14, 0x2b, 0x91, 0xf5, 0x99, 0xfd, 0x9e, 0x90, 0xc3, 0x8c, 0x74]
    + [0x89, 0xf9, 0x2a, 0xf9, 0xba, 0x53, 0xf0, 0x6b, 0xe7, 0xd7]
    + [0x80, 0x28, 0x00, 0x04, 0xc0, 0x7d, 0x4c, 0x96]
  /// RFC 5769 §2.3
  static let sampleResponseIPv6: [UInt8] =
    [0x01, 0x01, 0x00, 0x48, 0x21, 0x12, 0xa4, 0x42] + transaction
    + [0x80, 0x22, 0x00, 0x0b] + Array("test vector ".utf8)
    + [0x00, 0x20, 0x00, 0x14, 0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa]
    + [0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9]
    + [0x00, 0x08, 0x00, 0x14, 0xa3, 0x82, 0x95, 0x4e, 0x4b, 0xe6, 0x7b, 0xf1, 0x17, 0x84]
    + [0xc9, 0x7c, 0x82, 0x92, 0xc2, 0x75, 0xbf, 0xe3, 0xed, 0x41]
    + [0x80, 0x28, 0x00, 0x04, 0xc8, 0xfb, 0x0b, 0x4c]

  @Test("the sample request of RFC 5769 is read, fingerprint and all")
  func rfcRequest() throws {
    let message = try #require(STUNMessage(Self.sampleRequest))
    #expect(message.kind == .request && message.software == "STUN test client")
    #expect(message.transaction.bytes == Self.transaction)
    // PRIORITY is ICE's and has to be understood.
    #expect(message.notUnderstood == [0x0024])
  }

  @Test("the sample responses of RFC 5769 give their addresses")
  func rfcResponses() throws {
    let ipv4 = try #require(STUNMessage(Self.sampleResponseIPv4))
    #expect(ipv4.kind == .success && ipv4.software == "test vector")
    #expect(ipv4.mappedAddress == SocketAddress("192.0.2.1", port: 32_853))
    let ipv6 = try #require(STUNMessage(Self.sampleResponseIPv6))
    #expect(
      ipv6.mappedAddress == SocketAddress("2001:db8:1234:5678:11:2233:4455:6677", port: 32_853))
  }

  @Test("every kind of message survives encoding")
  func roundTrip() throws {
    var random = SplitMix64(seed: 1)
    let six = try #require(SocketAddress("2001:db8::7", port: 9))
    for kind in [STUNMessage.Kind.request, .indication, .success, .error] {
      var message = STUNMessage(kind: kind, transaction: TransactionID(using: &random))
      #expect(STUNMessage(message.encoded) == message)
      message.mappedAddress = six
      message.otherAddress = .serverHost.with(port: 3_479)
      message.software = "qtun"
      message.errorCode = 420
      message.unknownAttributes = [0x0024, 0x0003, 0x7fff]
      message.changeRequest = .init(address: true, port: false)
      #expect(STUNMessage(message.encoded) == message)
    }
  }

  @Test("MAPPED-ADDRESS of an old server counts where XOR-MAPPED-ADDRESS is missing")
  func oldServer() throws {
    let header: [UInt8] = [0x01, 0x01, 0x00, 0x0c, 0x21, 0x12, 0xa4, 0x42] + Self.transaction
    let message = try #require(
      STUNMessage(header + [0x00, 0x01, 0x00, 0x08, 0x00, 0x01, 0x01, 0xbb, 192, 0, 2, 1]))
    #expect(message.mappedAddress == SocketAddress("192.0.2.1", port: 443))
  }

  @Test("a message with a flipped bit is refused, or at least not misread", arguments: Seeds.all)
  func corruption(seed: UInt64) {
    // The fingerprint covers everything before it, so any change shows.
    for index in 0..<(Self.sampleResponseIPv4.count * 8) {
      var bytes = Self.sampleResponseIPv4
      bytes[index / 8] ^= 1 << UInt8(index % 8)
      // A length that swallows the fingerprint, or another type in its place, leaves a message
      // without one, which is allowed.
      let swallows = index / 8 == 51 && bytes[51] == 0x1c || [72, 73].contains(index / 8)
      if !swallows { #expect(STUNMessage(bytes) == nil, "bit \(index)") }
    }
    var random = SplitMix64(seed: seed)
    for _ in 0..<2_000 {
      var bytes = Array(Self.sampleRequest.prefix(Int(random.below(110))))
      for _ in 0..<4 where !bytes.isEmpty {
        bytes[Int(random.below(UInt64(bytes.count)))] = UInt8(truncatingIfNeeded: random.next())
      }
      if bytes.count >= 4 { bytes[3] = UInt8(truncatingIfNeeded: bytes.count - 20) }
      let message = STUNMessage(bytes)
      #expect((message?.notUnderstood.count ?? 0) <= STUNMessage.attributesMax)
    }
  }

  @Test("truncated, padded, oversized and endless messages are refused")
  func bounds() {
    for count in 0..<Self.sampleRequest.count {
      #expect(STUNMessage(Array(Self.sampleRequest.prefix(count))) == nil)
    }
    #expect(STUNMessage(Self.sampleRequest + [0, 0, 0, 0]) == nil)
    let header: [UInt8] = [0x00, 0x01, 0x00, 0x84, 0x21, 0x12, 0xa4, 0x42] + Self.transaction
    let tooMany = (0..<33).flatMap { _ -> [UInt8] in [0x80, 0xff, 0, 0] }
    #expect(STUNMessage(header + tooMany) == nil)
  }
}
