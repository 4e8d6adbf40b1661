import Glibc
import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Splice")
struct SpliceTests {
  @Test("bytes cross both ways unchanged, in pieces of any size", arguments: Seeds.all)
  func bothWays(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let world = try SpliceWorld(seed: seed, capacity: 1 + Int(random.below(65_536)))
    let flow = try world.open()
    var forth: [UInt8] = []
    var back: [UInt8] = []
    for _ in 0..<20 {
      let one = Payload.bytes(Int(random.below(1 << random.below(17))), seed: random.next())
      let other = Payload.bytes(Int(random.below(1 << random.below(17))), seed: random.next())
      forth += one
      back += other
      flow.near.send(one)
      flow.far.send(other)
      world.loop.run(for: .milliseconds(Int(random.below(30))))
    }
    flow.near.finish()
    flow.far.finish()
    world.wait { flow.isOver && flow.near.sawEnd && flow.far.sawEnd }
    #expect(Payload.difference(flow.far.received, forth) == nil)
    #expect(Payload.difference(flow.near.received, back) == nil)
    expectFinished(flow)
    #expect(flow.nearSplice?.bytesToStream == UInt64(forth.count))
    #expect(flow.nearSplice?.bytesToSocket == UInt64(back.count))
    #expect(flow.farSplice?.bytesToStream == UInt64(back.count))
    #expect(flow.farSplice?.bytesToSocket == UInt64(forth.count))
  }

  @Test(
    "the first side to finish still receives all that the other sends", arguments: [true, false])
  func halfClose(nearFirst: Bool) throws {
    let world = try SpliceWorld()
    let flow = try world.open()
    let first = nearFirst ? flow.near : flow.far
    let second = nearFirst ? flow.far : flow.near
    let request = Payload.bytes(10_000, seed: 1)
    let answer = Payload.bytes(300_000, seed: 2)
    first.send(request, finishing: true)
    world.wait { second.sawEnd }
    #expect(Payload.difference(second.received, request) == nil)
    // Nothing ends while one side still may send.
    world.loop.run(for: .seconds(5))
    #expect(!flow.isOver && !first.isOver)
    second.send(answer, finishing: true)
    world.wait { flow.isOver && first.sawEnd }
    #expect(Payload.difference(first.received, answer) == nil)
    expectFinished(flow)
  }

  @Test("FIN without a byte crosses, and ends the flow when it came from both sides")
  func emptyFlow() throws {
    let world = try SpliceWorld()
    let flow = try world.open()
    flow.near.finish()
    world.wait { flow.far.sawEnd }
    #expect(!flow.isOver)
    flow.far.finish()
    world.wait { flow.isOver && flow.near.sawEnd }
    expectFinished(flow)
  }

  @Test("data and FIN from before the splice began are not missed")
  func earlyFIN() throws {
    let world = try SpliceWorld()
    let (socket, end) = SimStreamSocket.pair(
      loop: world.loop, capacity: 65_536, latency: SimTargets.latency)
    let program = LocalProgram(end)
    program.send([1, 2, 3], finishing: true)
    // Every edge passes while nobody listens, as for a connection that waits for its session.
    world.loop.run(for: .seconds(1))
    let stream = try #require(try world.connection?.openStream(unidirectional: false))
    let splice = Splice(stream: stream, socket: socket) { _, _ in }
    splice.start()
    #expect(splice.bytesToStream == 3)
    #expect(throws: StreamError.alreadyClosed) { try stream.write([4]) }
  }

  @Test(
    "RST on one side is RST on the other, before, between and after data",
    arguments: [true, false], [0, 1_000, 500_000])
  func reset(byNear: Bool, count: Int) throws {
    let world = try SpliceWorld()
    let flow = try world.open()
    let breaker = byNear ? flow.near : flow.far
    let victim = byNear ? flow.far : flow.near
    let payload = Payload.bytes(count, seed: 3)
    breaker.send(payload)
    victim.send(payload)
    if count == 1_000 { world.wait { victim.received.count == count } }
    if count == 500_000 { world.wait { victim.received.count > 100_000 } }
    breaker.reset()
    world.wait { flow.isOver && victim.isOver }
    #expect(victim.failure == ECONNRESET)
    #expect(!victim.sawEnd)
    #expect(payload.starts(with: victim.received))
    let (local, remote) =
      byNear ? (flow.nearEndings, flow.farEndings) : (flow.farEndings, flow.nearEndings)
    #expect(remote == [.remote(code: TunnelCode.localReset)])
    // Whether it shows first in reading or in writing depends on what was under way.
    #expect(local == [.localFailure(ECONNRESET)] || local == [.localFailure(EPIPE)])
  }

  @Test("RST after FIN still breaks the other direction", arguments: [true, false])
  func resetAfterFIN(byNear: Bool) throws {
    let world = try SpliceWorld()
    let flow = try world.open()
    let breaker = byNear ? flow.near : flow.far
    let victim = byNear ? flow.far : flow.near
    breaker.send([1, 2, 3], finishing: true)
    world.wait { victim.sawEnd }
    breaker.reset()
    world.wait { flow.isOver }
    // A program that still wants to write learns that nobody reads.
    victim.send([4])
    world.wait { victim.failure != nil }
  }

  @Test("a program that vanishes while the stream takes nothing is noticed")
  func resetWhileFull() throws {
    let world = try SpliceWorld()
    let flow = try world.open()
    flow.far.reads = false
    flow.near.send(Payload.bytes(4_000_000, seed: 4))
    world.loop.run(for: .seconds(5))
    let taken = flow.near.sentCount
    world.loop.run(for: .seconds(5))
    #expect(flow.near.sentCount == taken)
    flow.near.reset()
    flow.far.reads = true
    world.wait { flow.isOver && flow.far.failure != nil }
    #expect(flow.nearEndings == [.localFailure(ECONNRESET)])
    #expect(!flow.far.sawEnd)
  }

  @Test("a reader that stops bounds what its peer's side takes, and gets every byte later")
  func backPressure() throws {
    let world = try SpliceWorld()
    let flow = try world.open()
    let payload = Payload.bytes(3_000_000, seed: 5)
    flow.far.reads = false
    flow.near.send(payload, finishing: true)
    // The other direction goes on meanwhile.
    flow.far.send(Payload.bytes(200_000, seed: 6))
    world.loop.run(for: .seconds(20))
    let taken = try #require(flow.nearSplice?.bytesToStream)
    #expect(taken > 0)
    #expect(taken < 1_024 * 1_024)
    #expect(flow.near.received == Payload.bytes(200_000, seed: 6))
    #expect(flow.far.socket.readableCount == 65_536)
    world.loop.run(for: .seconds(5))
    #expect(flow.nearSplice?.bytesToStream == taken)
    flow.far.reads = true
    flow.far.finish()
    world.wait { flow.isOver && flow.far.sawEnd }
    #expect(Payload.difference(flow.far.received, payload) == nil)
    expectFinished(flow)
  }

  @Test("one stopped reader does not stop the flows beside it")
  func isolation() throws {
    let world = try SpliceWorld()
    let stuck = try (0..<4).map { _ in try world.open() }
    for flow in stuck {
      flow.far.reads = false
      flow.near.send(Payload.bytes(1_500_000, seed: 7))
    }
    world.loop.run(for: .seconds(5))
    let flow = try world.open()
    let payload = Payload.bytes(1_000_000, seed: 8)
    flow.near.send(payload, finishing: true)
    flow.far.finish()
    world.wait(.seconds(10)) { flow.isOver && flow.far.sawEnd }
    #expect(Payload.difference(flow.far.received, payload) == nil)
  }

  @Test("when the session is lost, both programs see a reset and the splice says so once")
  func sessionLost() throws {
    let world = try SpliceWorld()
    let flow = try world.open()
    flow.near.send([1])
    world.wait { flow.far.received == [1] }
    world.connection?.close(code: TunnelCode.done, reason: "")
    world.wait { flow.isOver && flow.near.isOver && flow.far.isOver }
    #expect(flow.nearEndings == [.sessionLost])
    #expect(flow.farEndings == [.sessionLost])
    #expect(flow.near.failure == ECONNRESET)
    #expect(flow.far.failure == ECONNRESET)
  }

  @Test("an abort resets both sides with its code")
  func abort() throws {
    let world = try SpliceWorld()
    let flow = try world.open()
    flow.nearSplice?.abort(code: TunnelCode.sessionEnding)
    world.wait { flow.isOver && flow.near.isOver && flow.far.isOver }
    #expect(flow.nearEndings == [.sessionLost])
    #expect(flow.farEndings == [.remote(code: TunnelCode.sessionEnding)])
    #expect(flow.near.failure == ECONNRESET && flow.far.failure == ECONNRESET)
  }

  @Test("a program that closes without reading what came breaks the flow, not the data of others")
  func closeWithUnread() throws {
    let world = try SpliceWorld()
    let flow = try world.open()
    flow.far.reads = false
    flow.near.send([1, 2, 3])
    world.wait { flow.far.socket.readableCount == 3 }
    flow.far.socket.close(resetting: false)
    world.wait { flow.isOver && flow.near.isOver }
    #expect(flow.near.failure == ECONNRESET)
    #expect(!flow.near.sawEnd)
  }

  private func expectFinished(
    _ flow: SpliceWorld.Flow, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(flow.nearEndings == [.finished], sourceLocation: sourceLocation)
    #expect(flow.farEndings == [.finished], sourceLocation: sourceLocation)
    #expect(flow.near.failure == nil && flow.far.failure == nil, sourceLocation: sourceLocation)
  }
}
