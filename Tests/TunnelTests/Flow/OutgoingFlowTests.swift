import Glibc
import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Outgoing flow")
struct OutgoingFlowTests {
  @Test("header, first bytes and FIN leave without waiting for anything")
  func firstFlight() throws {
    let world = try TunnelWorld { $0.network = LinkSettings(latency: .milliseconds(50)) }
    try world.open()
    let program = world.connect()
    program.send(Array("GET /".utf8), finishing: true)
    let start = world.loop.now
    world.wait { world.targets.programs.first?.sawEnd == true }
    #expect(world.targets.programs.first?.received == Array("GET /".utf8))
    // One way through the network, and not twice.
    #expect(world.loop.now - start < .milliseconds(60))
  }

  @Test("bytes, ends and counts agree at both sides", arguments: Seeds.all)
  func reports(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let world = try TunnelWorld { $0.seed = seed }
    try world.open()
    let question = Payload.bytes(Int(random.below(200_000)), seed: random.next())
    let answer = Payload.bytes(Int(random.below(200_000)), seed: random.next())
    world.targets.onAccept = { $0.send(answer, finishing: true) }
    let program = world.connect()
    program.send(question, finishing: true)
    world.wait { world.linkJournal.reports.count == 1 && world.shareJournal.reports.count == 1 }
    world.wait { program.sawEnd && world.targets.programs.first?.sawEnd == true }
    #expect(Payload.difference(program.received, answer) == nil)
    #expect(Payload.difference(world.targets.programs.first?.received, question) == nil)
    let near = try #require(world.linkJournal.reports.first)
    let far = try #require(world.shareJournal.reports.first)
    #expect(near.ending == .finished && far.ending == .finished)
    #expect(near.number == far.number)
    #expect(near.bytesSent == UInt64(question.count) && far.bytesReceived == near.bytesSent)
    #expect(near.bytesReceived == UInt64(answer.count) && far.bytesSent == near.bytesReceived)
  }

  @Test(
    "a target that fails resets the local program, and the report says why",
    arguments: [
      (ECONNREFUSED, FlowReport.Ending.targetRefused(nil)),
      (ENETUNREACH, FlowReport.Ending.targetUnreachable(nil)),
    ])
  func targetFails(code: Int32, ending: FlowReport.Ending) throws {
    let world = try TunnelWorld()
    try world.open()
    world.targets.behaviours[SimTargets.web] = .refuses(code)
    let program = world.connect()
    program.send([1, 2, 3])
    world.wait { program.isOver }
    #expect(program.failure == ECONNRESET)
    #expect(!program.sawEnd)
    #expect(world.linkJournal.reports.map(\.ending) == [ending])
    #expect(world.link.statistics.flowsOpen == 0)
    #expect(world.link.statistics.flowsFailed == 1)
  }

  @Test("what the peer's codes mean to the one who reads the report")
  func codes() {
    let meanings: [(UInt64, FlowReport.Ending)] = [
      (TunnelCode.localReset, .remoteReset), (TunnelCode.targetRefused, .targetRefused(nil)),
      (TunnelCode.targetUnreachable, .targetUnreachable(nil)),
      (TunnelCode.unknownService, .rejected), (TunnelCode.malformedHeader, .rejected),
      (TunnelCode.sessionEnding, .sessionLost), (0xdead, .remoteReset),
    ]
    for (code, meaning) in meanings {
      #expect(FlowReport.Ending(.remote(code: code)) == meaning)
    }
  }

  @Test("no stream beyond the peer's limit")
  func limit() throws {
    let world = try TunnelWorld { $0.shareSettings.transport.bidirectionalStreamsMax = 1 }
    try world.open()
    // The control stream is the only one.
    let (socket, _) = SimStreamSocket.pair(
      loop: world.loop, capacity: 1, latency: SimTargets.latency)
    let client = try RawPeer(
      loop: world.loop, socket: world.network.bind(.otherHost), identity: .fixture(3),
      acceptsConnections: false)
    try client.dial(TunnelWorld.shareAddress, expecting: TunnelWorld.shareIdentity)
    world.wait { client.isReady }
    let connection = try #require(client.connection)
    _ = try connection.openStream(unidirectional: false)
    #expect(throws: StreamError.limitReached) {
      _ = try OutgoingFlow(connection: connection, service: "", socket: socket, now: world.loop.now)
      { _ in }
    }
    #expect(!socket.isReleased)
  }
}
