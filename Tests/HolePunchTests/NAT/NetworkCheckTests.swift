import QuicTransport
import Simulation
import Testing

@testable import HolePunch

@Suite("Network check")
struct NetworkCheckTests {
  @Test("servers that are added tell their round trip, and one that is silent does not hold it up")
  func sightings() {
    let loop = SimLoop()
    let network = SimNetwork(
      loop: loop, seed: 1, defaults: LinkSettings(latency: .milliseconds(20)))
    let server = SimStunServer(network: network)
    let host = SocketAddress(ipv4: 0xc0a8_0105, port: 0)
    let nat = network.addTranslator(
      at: .clientHost,
      SimNAT.Settings(
        mapping: .endpointIndependent, filtering: .addressAndPortDependent, allocation: .preserving)
    )
    nat.attach(host)
    var changes = 0
    let check = NetworkCheck(
      main: network.bind(host.with(port: 7_000)), spare: network.bind(host.with(port: 7_001)),
      interfaces: [host], loop: loop, random: SplitMix64(seed: 1)
    ) { changes += 1 }
    #expect(check.isComplete)
    check.add(SimStunServer.primary)
    check.add(SimStunServer.primary)
    check.add(SocketAddress(ipv4: 0xcb00_71fe, port: 3_478))
    check.add(SocketAddress(high: 0x2001_0db8 << 32, low: 1, port: 3_478))
    #expect(!check.isComplete)
    loop.run(for: .seconds(3))
    withExtendedLifetime(server) {}
    #expect(check.isComplete && changes > 0)
    #expect(check.ipv4.sightings.first?.roundTrip == .milliseconds(40))
    #expect(check.ipv4.sightings.count == 4)
    #expect(check.ipv4.report.mapping == .endpointIndependent)
    #expect(check.ipv6.report.isUDPBlocked && !check.ipv4.report.isUDPBlocked)
    check.stop()
  }
}
