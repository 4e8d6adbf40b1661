import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Several services")
struct SeveralServicesTests {
  private static let web = Service(name: "web", target: .tcp([SimTargets.web]))
  private static let spare = Service(name: "spare", target: .tcp([SimTargets.spare]))

  @Test("each flow reaches the target of the service that it names", arguments: Seeds.all)
  func targets(seed: UInt64) throws {
    let world = try TunnelWorld {
      $0.seed = seed
      $0.services = [Self.web, Self.spare]
    }
    world.targets.onAccept = { $0.echoes = true }
    try world.open()
    #expect(world.link.services.map(\.name) == ["web", "spare"])
    #expect(world.link.services.map(\.port) == [3_000, 3_001])
    var random = SplitMix64(seed: seed)
    var wanted: [SocketAddress] = []
    for number in 0..<20 {
      let service = random.chance(0.5) ? Self.web : Self.spare
      wanted.append(service.name == "web" ? SimTargets.web : SimTargets.spare)
      let program = world.connect(to: service.name)
      program.send([UInt8(number)])
      world.wait { program.received == [UInt8(number)] }
    }
    #expect(world.targets.attempts == wanted)
  }

  @Test("a flow to a service that is not there is refused and reaches no target")
  func unknown() throws {
    let world = try TunnelWorld { $0.services = [Self.web] }
    try world.open()
    let program = world.connect(to: "spare")
    program.send([1])
    world.wait { program.isOver }
    #expect(program.failure != nil)
    #expect(world.targets.attempts.isEmpty)
    #expect(world.linkJournal.reports.map(\.ending) == [.rejected])
  }
}
