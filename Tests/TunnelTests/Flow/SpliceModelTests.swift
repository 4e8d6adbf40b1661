import Simulation
import Testing

@testable import Tunnel

/// Random programs at both ends of several splices, checked against what TCP promises.
@Suite("Splice model")
struct SpliceModelTests {
  @Test("whatever programs do, TCP's promises hold through the tunnel", arguments: Seeds.all)
  func randomPrograms(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    var link = LinkSettings(latency: .milliseconds(1 + Int(random.below(30))))
    link.jitter = .milliseconds(Int(random.below(3)))
    let world = try SpliceWorld(seed: seed, capacity: 1 + Int(random.below(100_000)), link: link)
    var models: [Model] = []
    for _ in 0..<6 { models.append(Model(try world.open())) }
    for _ in 0..<150 {
      let index = Int(random.below(UInt64(models.count)))
      models[index].step(&random)
      world.loop.run(for: .microseconds(Int(random.below(20_000))))
    }
    for index in models.indices { models[index].settle() }
    world.wait { models.allSatisfy(\.isSettled) }
    for (index, model) in models.enumerated() { model.check("seed \(seed), flow \(index)") }
  }

  /// One flow and what its programs did so far.
  private struct Model {
    let flow: SpliceWorld.Flow
    private var near: Side
    private var far: Side

    /// One program, and what it did.
    private struct Side {
      let program: LocalProgram
      var sent: [UInt8] = []
      var isFinished = false
      /// It was reset before its own FIN was queued.
      var isBroken = false

      mutating func step(_ random: inout SplitMix64) {
        guard !program.isReset, program.failure == nil else { return }
        switch random.below(20) {
        case 0..<11 where !isFinished:
          let bytes = Payload.bytes(Int(random.below(1 << random.below(18))), seed: random.next())
          sent += bytes
          program.send(bytes)
        case 11..<14: program.reads = false
        case 14..<18: program.reads = true
        case 18: finish()
        case 19 where random.chance(0.3):
          isBroken = !isFinished
          program.reset()
        default: break
        }
      }

      mutating func finish() {
        isFinished = true
        program.finish()
      }
    }

    init(_ flow: SpliceWorld.Flow) {
      self.flow = flow
      near = Side(program: flow.near)
      far = Side(program: flow.far)
    }

    mutating func step(_ random: inout SplitMix64) {
      if random.chance(0.5) { near.step(&random) } else { far.step(&random) }
    }

    /// Lets everything come to its end.
    mutating func settle() {
      for program in [near.program, far.program] where !program.isReset { program.reads = true }
      near.finish()
      far.finish()
    }

    var isSettled: Bool { flow.isOver && near.program.isOver && far.program.isOver }

    func check(_ comment: Comment) {
      // Each end reports once.
      #expect(flow.nearEndings.count == 1 && flow.farEndings.count == 1, comment)
      // What arrives is always a beginning of what was sent.
      #expect(near.sent.starts(with: far.program.received), comment)
      #expect(far.sent.starts(with: near.program.received), comment)
      // An end is seen only after everything before it, and never in place of a reset.
      for (from, to) in [(near, far), (far, near)] where to.program.sawEnd {
        #expect(!from.isBroken, comment)
        #expect(to.program.received.count == from.sent.count, comment)
      }
      // Nobody's fault: nothing may break.
      if !near.program.isReset, !far.program.isReset {
        #expect(flow.nearEndings == [.finished] && flow.farEndings == [.finished], comment)
        #expect(near.program.sawEnd && far.program.sawEnd, comment)
        #expect(flow.nearSplice?.bytesToStream == UInt64(near.sent.count), comment)
        #expect(flow.farSplice?.bytesToSocket == UInt64(near.sent.count), comment)
        #expect(flow.farSplice?.bytesToStream == UInt64(far.sent.count), comment)
        #expect(flow.nearSplice?.bytesToSocket == UInt64(far.sent.count), comment)
      }
    }
  }
}
