import HolePunch
import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("A relay that stops", .timeLimit(.minutes(1)))
struct RelayDrainTests {
  @Test("nodes are told, newcomers are turned away, and it waits for sessions, but not for ever")
  func drain() throws {
    let loop = SimLoop()
    let network = SimNetwork(loop: loop, seed: 1, defaults: LinkSettings())
    let relay = try SimRelay(network: network, host: .serverHost)
    let hosts: [(UInt8, SocketAddress)] = [(1, .clientHost), (2, .otherHost)]
    let nodes = try hosts.map { number, host -> RelayNode in
      let node = try RelayNode(network: network, host: host, identity: .fixture(number))
      try node.connect(to: relay, capabilities: RelayMessage.forwards)
      node.say(RelayNode.offer(1), .register)
      return node
    }
    loop.run(for: .seconds(1))
    nodes[1].say(.find(.init(peer: nodes[0].identity.publicKey, token: [1])))
    loop.run(for: .seconds(1))
    nodes[0].say(.admit(introduction: try #require(nodes[0].knocks.first).introduction))
    loop.run(for: .seconds(1))
    #expect(relay.core.report.forwarding.sessionsOpen == 1)
    var drainedAt: Instant?
    let begin = loop.now
    relay.core.drain(within: .seconds(3)) { drainedAt = loop.now }
    loop.run(for: .seconds(1))
    for node in nodes {
      #expect(
        node.heard.last == .access(.restarting(.init(stopsIn: 3_000, spread: 4))))
    }
    let late = try RelayNode(network: network, host: .clientHost, identity: .fixture(3))
    try late.connect(to: relay)
    #expect(late.peer.error?.applicationCode == RelayCode.restarting)
    #expect(drainedAt == nil && relay.core.report.isDraining)
    loop.run(for: .seconds(5))
    #expect(try #require(drainedAt) - begin == .seconds(3))
  }

  @Test("without sessions it is done as soon as the notices have left")
  func idle() throws {
    let loop = SimLoop()
    let network = SimNetwork(loop: loop, seed: 1, defaults: LinkSettings())
    let relay = try SimRelay(network: network, host: .serverHost)
    var isDrained = false
    relay.core.drain(within: .seconds(3_600)) { isDrained = true }
    loop.run(for: .seconds(1))
    #expect(isDrained)
  }

  @Test("whoever asks a second time, or closes meanwhile, waits for nothing that never comes")
  func twice() throws {
    let loop = SimLoop()
    let network = SimNetwork(loop: loop, seed: 1, defaults: LinkSettings())
    let relay = try SimRelay(network: network, host: .serverHost)
    var count = 0
    relay.core.drain(within: .seconds(5)) { count += 1 }
    relay.core.drain(within: .seconds(5)) { count += 1 }
    relay.core.close()
    #expect(count == 2)
    loop.run(for: .seconds(10))
    #expect(count == 2)
  }

  @Test("a share is registered again soon after a restart that was announced, however long it took")
  func restart() throws {
    let world = try MeetingWorld { $0.relays = true }
    try world.startShare()
    world.loop.run(for: .seconds(5))
    #expect(world.share.readyCount == 1)
    world.relay.core.drain(within: .seconds(1)) {}
    world.loop.run(for: .seconds(1))
    let told = world.share.events.contains {
      if case .relayRestarts = $0 { true } else { false }
    }
    #expect(told)
    world.relay.core.close()
    world.loop.run(for: .milliseconds(200))
    // Longer away than one dial would repeat its first packet quickly.
    try world.restartRelay(after: .seconds(10))
    let begin = world.loop.now
    _ = world.loop.run(for: .seconds(10)) { world.share.readyCount == 2 }
    #expect(world.share.readyCount == 2)
    #expect(world.loop.now - begin < .milliseconds(2_200))
  }
}
