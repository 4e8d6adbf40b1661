import HolePunch
import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("A port of the gateway, as a candidate", .timeLimit(.minutes(2)))
struct MappedPortTests {
  private static func world(forwards: Bool = true) throws -> MeetingWorld {
    try MeetingWorld {
      $0.share = .symmetricRandom
      $0.link = .symmetricRandom
      $0.forwardsPorts = forwards
      $0.relays = true
    }
  }

  private static func mapped(_ events: [MeetingEvent]) -> [SocketAddress] {
    events.compactMap {
      if case .portMapped(let mapping) = $0 { mapping.outside } else { nil }
    }
  }

  @Test("two routers that rule everything else out: the forwarded port makes a direct path")
  func opensTheWay() throws {
    let world = try Self.world()
    try world.start(skew: .seconds(1))
    _ = try #require(world.timeToOpen(within: .seconds(5)))
    #expect(world.loop.run(for: .seconds(5)) { world.carrier == .udp })
    #expect(world.link.punched.first?.path.kind == .mapped && world.carries())
    // Nothing is told that turns out wrong a moment later.
    #expect(world.link.failures.isEmpty)
    let port = world.share.socket.localAddress.port
    #expect(Self.mapped(world.share.events) == [MeetingWorld.shareNAT.with(port: port)])
  }

  @Test("it is renewed while the share runs, and given back at the end")
  func lifetime() throws {
    let world = try Self.world()
    try world.startShare()
    world.loop.run(for: .seconds(2))
    let gateway = try #require(world.gateway)
    #expect(world.nats[0].forwardedPorts.count == 1 && gateway.requests == 1)
    world.loop.run(for: .seconds(3_600))
    #expect(gateway.requests > 1 && world.nats[0].forwardedPorts.count == 1)
    var isClosed = false
    world.share.meeting?.close { isClosed = true }
    world.loop.run(for: .seconds(1))
    #expect(isClosed && world.nats[0].forwardedPorts.isEmpty)
    let requests = gateway.requests
    world.loop.run(for: .seconds(8_000))
    #expect(gateway.requests == requests)
  }

  @Test("another default route: the new gateway is asked, and the offer follows")
  func movesOn() throws {
    let world = try Self.world()
    try world.startShare()
    world.loop.run(for: .seconds(2))
    let gateway = try #require(world.gateway)
    let requests = gateway.requests
    // The same route as before: nobody is asked anything.
    world.share.meeting?.networkChanged()
    world.loop.run(for: .seconds(2))
    #expect(gateway.requests == requests)
    gateway.replace()
    world.share.meeting?.networkChanged()
    world.loop.run(for: .seconds(2))
    #expect(gateway.requests > requests && world.nats[0].forwardedPorts.count == 1)
    #expect(Self.mapped(world.share.events).count == 2)
    world.startLink()
    #expect(world.loop.run(for: .seconds(5)) { world.carrier == .udp })
    #expect(world.link.punched.first?.path.kind == .mapped)
  }

  @Test("sessions that stay on a relay ask no gateway")
  func relayOnly() throws {
    let world = try MeetingWorld {
      $0.forwardsPorts = true
      $0.relays = true
      $0.sharePath = .relay
    }
    try world.startShare()
    world.loop.run(for: .seconds(5))
    #expect(world.gateway?.requests == 0)
  }

  @Test("a search with fewer sockets than it needs says so, and leaves some to others")
  func fewSockets() throws {
    for (limit, isTold) in [(Int.max, false), (40, true)] {
      let world = try MeetingWorld {
        $0.link = .symmetricRandom
        $0.socketsMax = limit
      }
      try world.start(skew: .seconds(1))
      world.loop.run(for: .seconds(3))
      let told = world.link.events.compactMap { event -> Int? in
        if case .fewSockets(_, let opened, 256) = event { opened } else { nil }
      }
      #expect(
        told.isEmpty != isTold && told.allSatisfy { $0 <= 40 - PunchSockets.reserve }, "\(told)")
    }
  }
}
