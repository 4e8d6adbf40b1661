import QuicTransport
import Simulation
import Testing

@testable import HolePunch

/// Three nodes on a simulated network.
@Suite("Netpunch, all three nodes")
struct NetpunchNodeTests {
  @Test(
    "both peers are open within half a second of the later start, whatever the skew",
    arguments: [0, 100, 600, 2_000, 10_000, 120_000])
  func skew(milliseconds: Int64) throws {
    let world = World(seed: 1, link: LinkSettings(latency: .milliseconds(20)))
    world.start(Netpunch.a, at: Netpunch.alice)
    world.loop.run(for: .milliseconds(milliseconds))
    world.start(Netpunch.b, at: Netpunch.bob)
    world.loop.run(for: .milliseconds(500))
    #expect(world.opened == [Netpunch.a: Netpunch.bob, Netpunch.b: Netpunch.alice])
  }

  @Test("one packet in five lost: both are open all the same", arguments: Seeds.all)
  func loss(seed: UInt64) {
    var link = LinkSettings(latency: .milliseconds(20))
    link.lossRate = 0.2
    let world = World(seed: seed, link: link)
    world.start(Netpunch.a, at: Netpunch.alice)
    world.start(Netpunch.b, at: Netpunch.bob)
    world.loop.run(for: .seconds(10))
    #expect(world.opened.count == 2)
  }

  @Test("a stopped node sends no more")
  func stop() {
    let world = World(seed: 1, link: LinkSettings(latency: .milliseconds(20)))
    let node = world.start(Netpunch.a, at: Netpunch.alice)
    world.loop.run(for: .seconds(1))
    node.stop()
    let count = world.network.sentCount
    world.loop.run(for: .seconds(10))
    #expect(world.network.sentCount == count)
  }
}

private final class World {
  let loop = SimLoop()
  let network: SimNetwork
  private(set) var opened: [NetpunchSlot: SocketAddress] = [:]
  private var nodes: [NetpunchNode] = []

  init(seed: UInt64, link: LinkSettings) {
    network = SimNetwork(loop: loop, seed: seed, defaults: link)
    nodes.append(
      NetpunchNode(
        NetpunchControl(signer: Netpunch.signer), socket: network.bind(Netpunch.control),
        loop: loop, observer: { _ in }))
  }

  @discardableResult
  func start(_ slot: NetpunchSlot, at address: SocketAddress) -> NetpunchNode {
    let peer = NetpunchPeer(
      slot: slot, control: Netpunch.control, signer: Netpunch.signer, now: loop.now)
    let node = NetpunchNode(peer, socket: network.bind(address), loop: loop) { [weak self] output in
      if case .open(let remote) = output { self?.opened[slot] = remote }
    }
    nodes.append(node)
    return node
  }
}
