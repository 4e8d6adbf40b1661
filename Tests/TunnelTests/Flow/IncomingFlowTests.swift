import Glibc
import QuicTransport
import Simulation
import Testing

@testable import Tunnel

/// Flows that a client of our own making opens at a real share.
@Suite("Incoming flow")
struct IncomingFlowTests {
  @Test("a header in any pieces leads to the target, and the rest is data")
  func headerInPieces() throws {
    let scene = try Scene()
    let header = FlowHeader(kind: .tcp, service: "").encoded
    let bytes = header + [1, 2, 3]
    // The last piece of the first run is the whole header; of later ones, header and data.
    for split in 1..<bytes.count {
      let flow = try scene.client.open(sending: Array(bytes[..<split]))
      scene.world.loop.run(for: .milliseconds(50))
      try flow.stream.write(Array(bytes[split...]))
      scene.world.loop.run(for: .milliseconds(50))
      let program = try #require(scene.world.targets.programs.last)
      #expect(program.received == [1, 2, 3])
      program.send([9])
      scene.world.loop.run(for: .milliseconds(50))
      #expect(flow.bytes == [9])
    }
    #expect(scene.world.targets.programs.count == bytes.count - 1)
  }

  @Test("the header and the first data in one piece, with FIN, are answered")
  func oneShot() throws {
    let scene = try Scene()
    scene.world.targets.onAccept = {
      $0.echoes = true
      $0.finishesAtEnd = true
    }
    let flow = try scene.client.open(
      sending: FlowHeader(kind: .tcp, service: "").encoded + Array("hello".utf8))
    flow.stream.finish()
    scene.world.wait { flow.sawEnd && scene.world.shareJournal.reports.count == 1 }
    #expect(flow.bytes == Array("hello".utf8))
    #expect(try scene.report().ending == .finished)
    #expect(try scene.report().bytesSent == 5)
    #expect(try scene.report().bytesReceived == 5)
  }

  @Test(
    "a malformed header is refused with a reset, and nothing is connected to",
    arguments: [
      [0x00], [0x3f], [0x02, 0x00, 0x00], [0x01, 0x41, 0x00], [UInt8](repeating: 0xff, count: 8),
    ])
  func malformedHeader(bytes: [UInt8]) throws {
    let scene = try Scene()
    let flow = try scene.client.open(sending: bytes)
    scene.world.wait { flow.resetCode != nil }
    #expect(flow.resetCode == TunnelCode.malformedHeader)
    #expect(flow.stopCode == TunnelCode.malformedHeader)
    #expect(try scene.report().ending == .rejected)
    #expect(scene.world.targets.attempts.isEmpty)
  }

  @Test(
    "a stream that ends within its header is refused",
    arguments: [[], [0x01], [0x01, 0x05, 0x61]] as [[UInt8]])
  func headerCutByFIN(bytes: [UInt8]) throws {
    let scene = try Scene()
    let flow = try scene.client.open(sending: bytes)
    flow.stream.finish()
    scene.world.wait(.seconds(5)) { flow.resetCode != nil }
    #expect(flow.resetCode == TunnelCode.malformedHeader)
    #expect(try scene.report().ending == .rejected)
  }

  @Test("a service that is not shared is refused by its own code")
  func unknownService() throws {
    let scene = try Scene()
    let flow = try scene.client.open(sending: FlowHeader(kind: .tcp, service: "ssh").encoded)
    scene.world.wait { flow.resetCode != nil }
    #expect(flow.resetCode == TunnelCode.unknownService)
    #expect(try scene.report().ending == .rejected)
    #expect(scene.world.targets.attempts.isEmpty)
  }

  @Test("a target that refuses on every address is reported as refusing")
  func refused() throws {
    let scene = try Scene(targets: [SimTargets.web, SimTargets.spare])
    scene.world.targets.behaviours = [
      SimTargets.web: .refuses(ECONNREFUSED), SimTargets.spare: .refusesAtOnce(ECONNREFUSED),
    ]
    let flow = try scene.openFlow()
    scene.world.wait { flow.resetCode != nil }
    #expect(flow.resetCode == TunnelCode.targetRefused)
    #expect(try scene.report().ending == .targetRefused(ECONNREFUSED))
    #expect(scene.world.targets.attempts == [SimTargets.web, SimTargets.spare])
    #expect(scene.world.targets.failing.allSatisfy { $0.isReleased })
    #expect(scene.world.share.statistics.flowsRefused == 1)
    #expect(scene.world.share.statistics.flowsFailed == 1)
  }

  @Test("a target that cannot be reached is reported with the reason", arguments: [true, false])
  func unreachable(atOnce: Bool) throws {
    let scene = try Scene()
    scene.world.targets.behaviours[SimTargets.web] =
      atOnce ? .refusesAtOnce(EHOSTUNREACH) : .refuses(EHOSTUNREACH)
    let flow = try scene.openFlow()
    scene.world.wait { flow.resetCode != nil }
    #expect(flow.resetCode == TunnelCode.targetUnreachable)
    #expect(try scene.report().ending == .targetUnreachable(EHOSTUNREACH))
  }

  @Test("when the first address fails the second one serves", arguments: [true, false])
  func secondAddress(atOnce: Bool) throws {
    let scene = try Scene(targets: [SimTargets.web, SimTargets.spare])
    scene.world.targets.behaviours[SimTargets.web] =
      atOnce ? .refusesAtOnce(ECONNREFUSED) : .refuses(ECONNREFUSED)
    scene.world.targets.onAccept = { $0.echoes = true }
    let flow = try scene.openFlow(sending: [7])
    scene.world.wait { flow.bytes == [7] }
    #expect(scene.world.targets.attempts == [SimTargets.web, SimTargets.spare])
  }

  @Test("a target that does not answer is given up after ten seconds")
  func connectTimeout() throws {
    let scene = try Scene()
    scene.world.targets.behaviours[SimTargets.web] = .silent
    let flow = try scene.openFlow()
    scene.world.wait { !scene.world.targets.attempts.isEmpty }
    scene.world.loop.run(for: .milliseconds(9_990))
    #expect(scene.world.shareJournal.reports.isEmpty)
    scene.world.wait(.milliseconds(500)) { flow.resetCode != nil }
    #expect(flow.resetCode == TunnelCode.targetUnreachable)
    #expect(try scene.report().ending == .targetUnreachable(ETIMEDOUT))
    #expect(scene.world.targets.failing.allSatisfy { $0.isReleased })
  }

  @Test("a flow that runs is not hurt by the connect timeout")
  func timerDisarmed() throws {
    let scene = try Scene()
    scene.world.targets.onAccept = { $0.echoes = true }
    let flow = try scene.openFlow(sending: [1])
    scene.world.wait { flow.bytes == [1] }
    scene.world.loop.run(for: .seconds(20))
    try flow.stream.write([2])
    scene.world.wait { flow.bytes == [1, 2] }
  }

  @Test("a peer that resets while the target is being reached frees the connect")
  func resetWhileConnecting() throws {
    let scene = try Scene()
    scene.world.targets.behaviours[SimTargets.web] = .silent
    let flow = try scene.openFlow()
    scene.world.wait { !scene.world.targets.attempts.isEmpty }
    flow.stream.reset(code: TunnelCode.localReset)
    flow.stream.stopReceiving(code: TunnelCode.localReset)
    scene.world.wait { flow.isClosed }
    #expect(try scene.report().ending == .remoteReset)
    #expect(scene.world.targets.failing.allSatisfy { $0.isReleased })
    scene.world.loop.run(for: .seconds(20))
    #expect(scene.world.shareJournal.reports.count == 1)
  }

  @Test("data sent while the target is being reached waits, bounded by the stream's window")
  func dataWhileConnecting() throws {
    let scene = try Scene()
    scene.world.targets.behaviours[SimTargets.web] = .silent
    let flow = try scene.openFlow(sending: Payload.bytes(2_000_000, seed: 1))
    scene.world.loop.run(for: .seconds(5))
    let unacknowledged = flow.stream.unacknowledgedCount
    #expect(unacknowledged > 1_000_000)
  }

  @Test("a session that ends while the target is being reached frees the connect")
  func sessionLostWhileConnecting() throws {
    let scene = try Scene()
    scene.world.targets.behaviours[SimTargets.web] = .silent
    _ = try scene.openFlow()
    scene.world.wait { !scene.world.targets.attempts.isEmpty }
    scene.client.connection?.close(code: TunnelCode.done, reason: "")
    scene.world.wait { !scene.world.shareJournal.reports.isEmpty }
    #expect(try scene.report().ending == .sessionLost)
    #expect(scene.world.targets.failing.allSatisfy { $0.isReleased })
    #expect(scene.world.share.statistics.flowsOpen == 0)
  }

  /// A share, and a client that greeted it.
  private struct Scene {
    let world: TunnelWorld
    let client: RawPeer

    init(targets: [SocketAddress] = [SimTargets.web]) throws {
      let world = try TunnelWorld {
        $0.services = [Service(name: "", target: .tcp(targets))]
      }
      client = try RawPeer(
        loop: world.loop, socket: world.network.bind(.otherHost), identity: .fixture(3),
        acceptsConnections: false)
      client.onReady = { client in
        _ = try? client.open(sending: client.hello(capability: TunnelWorld.capability))
      }
      try client.dial(TunnelWorld.shareAddress, expecting: TunnelWorld.shareIdentity)
      try #require(world.loop.run(for: .seconds(5)) { world.shareJournal.opened == 1 })
      self.world = world
    }

    func openFlow(sending bytes: [UInt8] = []) throws -> RawPeer.Recorder {
      try client.open(sending: FlowHeader(kind: .tcp, service: "").encoded + bytes)
    }

    /// The report of the only flow.
    func report() throws -> FlowReport {
      #expect(world.shareJournal.reports.count == 1)
      return try #require(world.shareJournal.reports.first)
    }
  }
}
