import QuicTransport
import Simulation
import Testing

@testable import HolePunch

@Suite("Port mapping on a loop")
struct PortMappingClientTests {
  private static let outside = SocketAddress("203.0.113.9", port: 7_000)

  @Test("a gateway that knows PCP is not asked by UPnP")
  func pcp() {
    let gateway = SimGateway { $0.speaksPCP = true }
    var changes = 0
    let client = gateway.client { changes += 1 }
    gateway.loop.run(for: .seconds(60))
    #expect(client.mapping?.by == .pcp && client.mapping?.outside == Self.outside)
    #expect(client.isSettled && changes == 1 && gateway.searches == 0)
  }

  @Test("UPnP comes third, within two seconds, and is renewed at half of its time")
  func upnp() {
    let gateway = SimGateway()
    let client = gateway.client()
    gateway.loop.run(for: .seconds(2))
    #expect(client.mapping?.by == .upnp && client.mapping?.outside == Self.outside)
    #expect(gateway.mapped == [7_000: 7_200])
    #expect(gateway.calls == ["address", "add"])
    gateway.loop.run(for: .seconds(3_610))
    #expect(gateway.calls == ["address", "add", "add"])
  }

  @Test("the port is given back, and only then the end is told", arguments: [true, false])
  func givenBack(isPCP: Bool) {
    let gateway = SimGateway { $0.speaksPCP = isPCP }
    let client = gateway.client()
    gateway.loop.run(for: .seconds(3))
    #expect(!gateway.mapped.isEmpty)
    var isStopped = false
    client.stop { isStopped = true }
    #expect(isStopped == isPCP)
    gateway.loop.run(for: .milliseconds(20))
    #expect(isStopped && gateway.mapped.isEmpty && client.mapping == nil)
  }

  @Test("a gateway that has died does not hold up the end")
  func deadAtTheEnd() {
    let gateway = SimGateway()
    let client = gateway.client()
    gateway.loop.run(for: .seconds(3))
    gateway.settings.isConnectionRefused = true
    var isStopped = false
    client.stop { isStopped = true }
    gateway.loop.run(for: .milliseconds(600))
    #expect(isStopped)
  }

  @Test("without any protocol it settles within three seconds and asks again later")
  func nothing() {
    let gateway = SimGateway { $0.speaksUPnP = false }
    var changes = 0
    let client = gateway.client { changes += 1 }
    gateway.loop.run(for: .seconds(3))
    #expect(client.isSettled && client.mapping == nil && changes == 1)
    gateway.settings.speaksUPnP = true
    gateway.loop.run(for: .seconds(605))
    #expect(client.mapping?.by == .upnp && changes == 2)
  }

  @Test("a lease that is lost is told, and had again")
  func lostLease() {
    let gateway = SimGateway()
    var seen: [Bool] = []
    var client: PortMappingClient?
    client = gateway.client { seen.append(client?.mapping != nil) }
    gateway.loop.run(for: .seconds(3))
    gateway.settings.failure = (501, 1)
    gateway.loop.run(for: .seconds(3_700))
    #expect(seen.prefix(3) == [true, false, true])
    #expect(client?.mapping?.by == .upnp)
  }

  @Test("a gateway that knows no leases is asked for a mapping without an end")
  func permanent() {
    let gateway = SimGateway { $0.failure = (725, 1) }
    let client = gateway.client()
    gateway.loop.run(for: .seconds(3))
    #expect(gateway.mapped == [7_000: 0] && client.mapping?.by == .upnp)
  }

  @Test("a port that somebody else has is exchanged for others, a few times")
  func conflicts() {
    let gateway = SimGateway { $0.failure = (718, 2) }
    let client = gateway.client()
    gateway.loop.run(for: .seconds(3))
    #expect(client.mapping?.outside.port == gateway.mapped.keys.first)
    #expect(Set(gateway.outsidePortsAsked).count == 3)
    let full = SimGateway { $0.failure = (718, 1_000) }
    let unlucky = full.client()
    full.loop.run(for: .seconds(3))
    #expect(unlucky.mapping == nil && unlucky.isSettled && full.outsidePortsAsked.count == 5)
  }

  @Test("answers of others, and places elsewhere, are ignored")
  func strangers() {
    let stranger = SimGateway { $0.answersFrom = SocketAddress(ipv4: 0xc0a8_0142, port: 0) }
    let first = stranger.client()
    stranger.loop.run(for: .seconds(5))
    #expect(first.mapping == nil && stranger.calls.isEmpty)
    for place in [
      "http://192.168.1.66:5000/root.xml", "http://example.com/root.xml", "https://192.168.1.1/",
      "http://192.168.1.1:0/root.xml", "http://192.168.1.1:5000/a b", "http://", "x",
    ] {
      let gateway = SimGateway { $0.location = place }
      let client = gateway.client()
      gateway.loop.run(for: .seconds(5))
      #expect(client.mapping == nil && gateway.calls.isEmpty, "\(place)")
    }
  }

  @Test("a description leads to no other machine")
  func foreignControl() {
    let elsewhere = "http://192.168.1.66:5000/ctl/IPConn"
    let document = SimGateway.description.replacing("/ctl/IPConn", with: elsewhere)
    let base = UPnPMessage.Location(server: SimGateway.address.with(port: 5_000), path: "/")
    #expect(UPnPMessage.services(Array(document.utf8), at: base).isEmpty)
    let based = SimGateway.description.replacing(
      "<device><serviceList>", with: "<URLBase>http://192.168.1.1:80/</URLBase><device>")
    let services = UPnPMessage.services(Array(based.utf8), at: base)
    #expect(services.map(\.control.server.port) == [80])
  }

  @Test("an outside address that nobody can send to is none")
  func uselessOutside() {
    for outside in ["0.0.0.0", "", "255.255.255.255", "nonsense"] {
      let gateway = SimGateway { $0.outside = outside }
      let client = gateway.client()
      gateway.loop.run(for: .seconds(5))
      #expect(client.mapping == nil && gateway.mapped.isEmpty, "\(outside)")
    }
  }
}
