import Simulation
import Testing

@testable import Tunnel

@Suite("End of a link")
struct LinkEndTests {
  @Test("closing a link ends it for those who wait, once", arguments: [true, false])
  func close(isOpen: Bool) throws {
    let world = try TunnelWorld()
    if isOpen { try world.open() } else { world.link.start() }
    world.link.close()
    world.link.close()
    guard case .ended("the connecting side stopped")? = world.errors.first else {
      Issue.record("\(world.errors)")
      return
    }
    world.loop.run(for: .seconds(20))
    #expect(world.errors.count == 1)
  }
}
