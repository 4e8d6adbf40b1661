import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("PROXY protocol")
struct ProxyProtocolTests {
  private func origin(_ source: String, _ destination: String) throws -> ProxyProtocol.Origin {
    ProxyProtocol.Origin(
      source: try #require(SocketAddress(source, port: 56_324)),
      destination: try #require(SocketAddress(destination, port: 443)))
  }

  @Test(
    "version 1 is a line of text",
    arguments: [
      ("192.168.0.1", "192.168.0.11", "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"),
      ("2001:db8::1", "2001:db8::2", "PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n"),
      ("192.168.0.1", "2001:db8::2", "PROXY UNKNOWN\r\n"),
      ("fd71:7475:6e00::1", "2001:db8::2", "PROXY UNKNOWN\r\n"),
    ])
  func version1(source: String, destination: String, line: String) throws {
    #expect(try ProxyProtocol.v1.header(origin(source, destination)) == Array(line.utf8))
  }

  private static let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10]

  @Test("version 2 is binary, with the peer's identity in a TLV for private use")
  func version2() throws {
    var four = try origin("192.168.0.1", "192.168.0.11")
    let addresses: [UInt8] = [192, 168, 0, 1, 192, 168, 0, 11, 0xdc, 0x04, 0x01, 0xbb]
    #expect(ProxyProtocol.v2.header(four) == Self.signature + [0x21, 0x11, 0, 12] + addresses)
    let key = [UInt8](1...32)
    four.identity = PublicKey(key)
    #expect(
      ProxyProtocol.v2.header(four)
        == Self.signature + [0x21, 0x11, 0, 47] + addresses + [0xe0, 0, 32] + key)
    let six = try ProxyProtocol.v2.header(origin("2001:db8::1", "2001:db8::2"))
    #expect(six.count == 16 + 36 && six[13] == 0x21 && six[15] == 36)
    #expect(Array(six[16..<32]) == [0x20, 1, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 11) + [1])
    let mixed = try ProxyProtocol.v2.header(origin("192.168.0.1", "2001:db8::2"))
    #expect(mixed == Self.signature + [0x21, 0, 0, 0])
  }

  @Test("the target hears it once, before the first byte", arguments: ProxyProtocol.allCases)
  func inFront(version: ProxyProtocol) throws {
    let world = try TunnelWorld { $0.services[0].proxyProtocol = version }
    try world.open()
    let program = world.connect()
    program.send([1, 2, 3])
    let target = { world.targets.programs.first?.received ?? [] }
    world.wait { target().suffix(3) == [1, 2, 3] }
    let header = target().dropLast(3)
    switch version {
    case .v1:
      let words = String(decoding: header, as: UTF8.self).split(separator: " ")
      #expect(words.count == 6 && words[0] == "PROXY")
      #expect(words[5] == "\(TunnelWorld.sharePort)\r\n")
    case .v2:
      #expect(header.starts(with: Self.signature))
      #expect(Array(header.suffix(32)) == TunnelWorld.linkIdentity.publicKey.bytes)
    }
  }
}
