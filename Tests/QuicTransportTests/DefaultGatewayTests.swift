import Testing

@testable import QuicTransport

@Suite("Default gateway")
struct DefaultGatewayTests {
  private static let head =
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"

  private func gateway(_ lines: String...) -> SocketAddress? {
    DefaultGateway.ipv4(routes: Array((Self.head + lines.joined(separator: "\n") + "\n").utf8))
  }

  /// 192.168.1.1 as this machine's kernel prints it.
  private static let first = hex(0xc0a8_0101)
  private static let second = hex(0xc0a8_0201)

  private static func hex(_ address: UInt32) -> String {
    String(address.bigEndian, radix: 16, uppercase: true)
  }

  @Test("it is the next hop of the route to everywhere")
  func plain() {
    let found = gateway(
      "eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0",
      "eth0\t00000000\t\(Self.first)\t0003\t0\t0\t100\t00000000\t0\t0\t0")
    #expect(found == SocketAddress("192.168.1.1", port: 0))
  }

  @Test("of two the one with the smaller metric counts")
  func metric() {
    let found = gateway(
      "wlan0\t00000000\t\(Self.first)\t0003\t0\t0\t600\t00000000\t0\t0\t0",
      "eth0\t00000000\t\(Self.second)\t0003\t0\t0\t100\t00000000\t0\t0\t0")
    #expect(found == SocketAddress("192.168.2.1", port: 0))
  }

  @Test(
    "routes without a next hop, of half the internet, or that are down do not count",
    arguments: [
      "ppp0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0",
      "tun0\t00000000\t\(first)\t0003\t0\t0\t0\t00000080\t0\t0\t0",
      "eth0\t00000000\t\(first)\t0002\t0\t0\t0\t00000000\t0\t0\t0",
      "eth0\t00000000\t\(first)", "", "eth0 zero zero zero 0 0 0 zero",
    ])
  func others(line: String) {
    #expect(gateway(line) == nil)
  }
}
