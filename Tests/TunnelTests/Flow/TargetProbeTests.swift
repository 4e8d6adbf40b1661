import Glibc
import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Target probe")
struct TargetProbeTests {
  private let loop = SimLoop()
  private let targets: SimTargets

  init() {
    targets = SimTargets(loop: loop)
  }

  @Test("a target that accepts is found, and the connection closed again")
  func accepts() {
    #expect(probe([SimTargets.web]) == [0])
    let program = targets.programs.first
    #expect(loop.run(for: .seconds(1)) { program?.sawEnd == true })
  }

  @Test("the second address counts when the first refuses", arguments: [true, false])
  func second(atOnce: Bool) {
    targets.behaviours[SimTargets.web] =
      atOnce ? .refusesAtOnce(ECONNREFUSED) : .refuses(ECONNREFUSED)
    #expect(probe([SimTargets.web, SimTargets.spare]) == [0])
    #expect(targets.attempts == [SimTargets.web, SimTargets.spare])
  }

  @Test("the last address's error is told", arguments: [true, false])
  func refuses(atOnce: Bool) {
    targets.behaviours = [
      SimTargets.web: .refuses(ECONNREFUSED),
      SimTargets.spare: atOnce ? .refusesAtOnce(ENETUNREACH) : .refuses(ENETUNREACH),
    ]
    #expect(probe([SimTargets.web, SimTargets.spare]) == [ENETUNREACH])
    #expect(targets.failing.allSatisfy { $0.isReleased })
  }

  @Test("silence is given up after three seconds, and everything released")
  func silent() {
    targets.behaviours[SimTargets.web] = .silent
    #expect(probe([SimTargets.web]) == [ETIMEDOUT])
    #expect(loop.elapsed >= .seconds(3) && loop.elapsed < .seconds(4))
    #expect(targets.failing.allSatisfy { $0.isReleased })
  }

  @Test("without an address, nothing accepts")
  func none() {
    #expect(probe([]) == [ECONNREFUSED])
  }

  /// Every result that was told, after all is quiet.
  private func probe(_ addresses: [SocketAddress]) -> [Int32] {
    var results: [Int32] = []
    weak var released: TargetProbe?
    do {
      let probe = TargetProbe(
        addresses: addresses.map(StreamAddress.tcp), loop: loop, connect: targets.connect)
      released = probe
      probe.run { results.append($0) }
    }
    #expect(loop.runUntilIdle(within: .seconds(60)))
    #expect(released == nil)
    return results
  }
}
