import QuicTransport
import Simulation
import Testing

@testable import Tunnel

/// Stopping without losing a byte, from either side.
@Suite("Drain")
struct DrainTests {
  /// Which side wants to stop.
  enum Side: CaseIterable {
    case share
    case link
  }

  @Test(
    "a slow reader at the other side is waited for, and gets every byte", arguments: Side.allCases)
  func slowReader(side: Side) throws {
    let world = try TunnelWorld()
    let payload = Payload.bytes(300_000, seed: 1)
    try world.open()
    let program = world.connect()
    world.wait { world.targets.programs.count == 1 }
    let target = world.targets.programs[0]
    // The side that stops has sent all, and its peer has it, but the program there does not read.
    let (sender, reader) = side == .share ? (target, program) : (program, target)
    reader.reads = false
    reader.finish()
    sender.send(payload, finishing: true)
    let journal = side == .share ? world.shareJournal : world.linkJournal
    world.wait { journal.reports.map(\.ending) == [.finished] }
    var isDrained = false
    drain(world, side) { isDrained = true }
    world.loop.run(for: .seconds(15))
    #expect(!isDrained)
    reader.reads = true
    world.wait { isDrained }
    close(world, side)
    world.wait { reader.isOver && !(world.shareJournal.ends.isEmpty && world.errors.isEmpty) }
    #expect(reader.sawEnd && Payload.difference(reader.received, payload) == nil)
    let reports = world.linkJournal.reports + world.shareJournal.reports
    #expect(reports.map(\.ending) == [.finished, .finished])
  }

  @Test("closing as soon as it is drained loses nothing on a bad network", arguments: Seeds.all)
  func closingAtOnce(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    var link = LinkSettings(latency: .milliseconds(15))
    link.jitter = .milliseconds(4)
    link.lossRate = 0.05
    let world = try TunnelWorld {
      $0.seed = seed
      $0.network = link
    }
    let answer = Payload.bytes(Int(random.below(100_000)), seed: random.next())
    world.targets.onAccept = { $0.send(answer, finishing: true) }
    try world.open()
    let programs = (0..<5).map { _ in
      let program = world.connect()
      program.send([1], finishing: true)
      return program
    }
    world.wait { world.targets.programs.count == 5 }
    world.loop.run(for: .milliseconds(Int(random.below(200))))
    let side = random.chance(0.5) ? Side.share : Side.link
    drain(world, side) { close(world, side) }
    world.wait { programs.allSatisfy(\.isOver) }
    for program in programs {
      #expect(program.sawEnd && Payload.difference(program.received, answer) == nil)
    }
    world.wait { world.targets.programs.allSatisfy(\.isOver) }
    #expect(world.targets.programs.allSatisfy { $0.sawEnd && $0.received == [1] })
  }

  @Test("both sides may stop at the same time")
  func both() throws {
    let world = try TunnelWorld()
    try world.open()
    let program = world.connect()
    program.send([1])
    world.wait { world.targets.programs.first?.received == [1] }
    var drained = 0
    world.share.drain { drained += 1 }
    world.link.drain { drained += 1 }
    world.loop.run(for: .seconds(5))
    #expect(drained == 0)
    program.finish()
    world.targets.programs[0].finish()
    world.wait(.seconds(5)) { drained == 2 }
    world.loop.run(for: .seconds(10))
    #expect(drained == 2)
  }

  @Test("an idle session is drained within a round trip", arguments: Side.allCases)
  func idle(side: Side) throws {
    let world = try TunnelWorld()
    try world.open()
    world.loop.run(for: .seconds(1))
    var isDrained = false
    drain(world, side) { isDrained = true }
    world.wait(.milliseconds(50)) { isDrained }
  }

  @Test("a peer that vanished is waited for two seconds", arguments: Side.allCases)
  func vanishedPeer(side: Side) throws {
    let world = try TunnelWorld()
    try world.open()
    world.cutNetwork()
    var isDrained = false
    drain(world, side) { isDrained = true }
    world.loop.run(for: .milliseconds(1_900))
    #expect(!isDrained)
    world.wait(.milliseconds(200)) { isDrained }
  }

  @Test("a session that is lost while draining ends the drain", arguments: Side.allCases)
  func sessionLost(side: Side) throws {
    let world = try TunnelWorld()
    try world.open()
    let program = world.connect()
    program.send([1])
    world.wait { world.targets.programs.first?.received == [1] }
    var completions = 0
    drain(world, side) { completions += 1 }
    world.loop.run(for: .seconds(1))
    world.cutNetwork()
    world.wait { completions == 1 }
    world.loop.run(for: .seconds(60))
    #expect(completions == 1)
    #expect(program.isOver && !program.sawEnd)
  }

  @Test("the peer of a drained side may go on, and is told the reason when it is over")
  func peerOutlives() throws {
    let world = try TunnelWorld()
    try world.open()
    world.share.drain { [share = world.share] in share.close() }
    world.wait { !world.errors.isEmpty }
    guard case .ended("the sharing side stopped")? = world.errors.first else {
      Issue.record("\(world.errors)")
      return
    }
    #expect(world.linkJournal.goodbyes == ["the sharing side is about to stop"])
  }

  private func drain(_ world: TunnelWorld, _ side: Side, completion: @escaping () -> Void) {
    switch side {
    case .share: world.share.drain(completion: completion)
    case .link: world.link.drain(completion: completion)
    }
  }

  private func close(_ world: TunnelWorld, _ side: Side) {
    switch side {
    case .share: world.share.close()
    case .link: world.link.close()
    }
  }
}
