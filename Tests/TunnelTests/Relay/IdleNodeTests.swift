import QuicTransport
import Simulation
import Testing

@testable import Tunnel

/// A relay has thousands of nodes that only wait.
@Suite("An idle node", .timeLimit(.minutes(1)))
struct IdleNodeTests {
  @Test("a keep-alive every 15 s and its acknowledgement are all that it and its relay say")
  func packets() throws {
    let world = try MeetingWorld { $0.relays = true }
    try world.startShare()
    world.loop.run(for: .seconds(60))
    #expect(world.share.readyCount == 1)
    let before = world.network.sentCount
    world.loop.run(for: .seconds(600))
    let count = world.network.sentCount - before
    // ngtcp2 wants some of the acknowledgements acknowledged.
    #expect(count <= 3 * 600 / 15, "\(count) packets in ten minutes")
    // It is still there: somebody else finds it.
    #expect(world.share.readyCount == 1)
    world.startLink()
    #expect(world.timeToOpen(within: .seconds(5)) != nil)
  }
}
