import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Datagram target")
struct DatagramTargetTests {
  static func decode(_ bytes: [UInt8]) -> (target: DatagramTarget, payload: [UInt8])? {
    bytes.withUnsafeBytes { bytes in
      DatagramTarget.decode(bytes).map { ($0.target, Array($0.payload)) }
    }
  }

  static func encode(_ address: SocketAddress) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: DatagramTarget.addressSizeMax) { memory, count in
      count = DatagramTarget.write(address, to: UnsafeMutableRawBufferPointer(memory))
    }
  }

  @Test("each kind is read up to its end, and one byte less is nothing")
  func kinds() throws {
    let ipv6 = try #require(SocketAddress("2001:db8::1", port: 53))
    let cases: [([UInt8], DatagramTarget)] = [
      ([1, 192, 0, 2, 1, 0, 53], .address(SocketAddress(ipv4: 0xc000_0201, port: 53))),
      (
        [4, 0x20, 1, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 11) + [1, 0, 53], .address(ipv6)
      ),
      ([3, 3] + Array("a.b".utf8) + [1, 0], .name(Destination(host: "a.b", port: 256))),
    ]
    for (bytes, target) in cases {
      for payload: [UInt8] in [[], [9], [UInt8](repeating: 7, count: 1_000)] {
        let decoded = try #require(Self.decode(bytes + payload))
        #expect(decoded.target == target && decoded.payload == payload)
      }
      for count in 0..<bytes.count { #expect(Self.decode(Array(bytes.prefix(count))) == nil) }
      if case .address(let address) = target { #expect(Self.encode(address) == bytes) }
    }
  }

  @Test("IPv4 in its mapped form is the same target, and is told as IPv4")
  func mapped() throws {
    let bytes: [UInt8] =
      [4] + [UInt8](repeating: 0, count: 10) + [0xff, 0xff, 127, 0, 0, 1, 0, 53]
    let address = SocketAddress.loopbackIPv4.with(port: 53)
    #expect(Self.decode(bytes)?.target == .address(address))
    #expect(Self.encode(address) == [1, 127, 0, 0, 1, 0, 53])
  }

  @Test(
    "what names nothing is no target",
    arguments: [
      [], [0], [2, 1, 2, 3, 4, 0, 53], [5, 1, 2, 3, 4, 0, 53], [1, 1, 2, 3, 4, 0, 0],
      [3, 0, 0, 53], [3, 1, 0x20, 0, 53], [3, 1, 0x80, 0, 53], [3, 1, 0, 0, 53],
      [3, 255, 0x61, 0, 53],
    ] as [[UInt8]])
  func malformed(bytes: [UInt8]) {
    #expect(Self.decode(bytes) == nil)
  }

  @Test("whatever comes is read or not, and what is read is written the same", arguments: Seeds.all)
  func noise(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    for _ in 0..<2_000 {
      var bytes = (0..<Int(random.below(40))).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      if !bytes.isEmpty { bytes[0] = UInt8(random.below(6)) }
      guard let (target, payload) = Self.decode(bytes) else { continue }
      #expect(payload.count < bytes.count && payload == Array(bytes.suffix(payload.count)))
      guard case .address(let address) = target, !address.isIPv4 || bytes[0] == 1 else { continue }
      #expect(Self.encode(address) + payload == bytes)
    }
  }
}
