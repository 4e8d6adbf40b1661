import Glibc
import QuicTransport
import Simulation
import Testing

@testable import Tunnel

/// The dialling side and servers of our own making: those that answer oddly, and those that mean ill.
@Suite("Remote listeners")
struct RemoteListenersTests {
  private static let far = SocketAddress.loopbackIPv4.with(port: 8_080)

  @Test("a stream of a listener that nobody asked for is reset, and the session lives")
  func unknownListener() throws {
    let scene = try Scene()
    let stray = try scene.server.open(
      sending: ReverseHeader(listener: 9, source: .loopbackIPv4).encoded + [1])
    scene.world.wait { stray.resetCode != nil && stray.stopCode != nil }
    #expect(stray.resetCode == TunnelCode.unknownListener)
    #expect(scene.world.linkTargets.attempts.isEmpty)
    try scene.expectAlive()
  }

  @Test(
    "what is no header of a listener is reset", arguments: [[1, 0], [2, 0, 1, 0x61, 0, 1], [0]])
  func malformed(bytes: [UInt8]) throws {
    let scene = try Scene()
    let stray = try scene.server.open(sending: bytes)
    scene.world.wait { stray.resetCode != nil }
    #expect(stray.resetCode == TunnelCode.malformedHeader)
    try scene.expectAlive()
  }

  @Test("a flood of streams ends at what we allow, and each is dropped")
  func flood() throws {
    let scene = try Scene()
    var opened = 0
    while (try? scene.server.open(sending: [3])) != nil { opened += 1 }
    #expect(opened == SessionSettings.reverseFlowsMax)
    scene.world.wait { scene.world.link.statistics.flowsOpen == opened }
    // None of them has a whole header: no target is tried, and resets free them.
    #expect(scene.world.linkTargets.attempts.isEmpty)
    for stream in scene.server.streams.dropFirst() { stream.stream.reset(code: 0x100) }
    scene.world.wait { scene.world.link.statistics.flowsOpen == 0 }
    // The word that there is room again takes a moment.
    scene.world.loop.run(for: .seconds(1))
    try scene.expectAlive()
  }

  @Test("a stream may overtake the answer to its LISTEN")
  func overtaking() throws {
    let scene = try Scene(answers: false)
    let early = try scene.server.open(
      sending: ReverseHeader(listener: 0, source: .loopbackIPv4).encoded + [5])
    scene.world.wait { scene.world.linkTargets.programs.first?.received == [5] }
    #expect(early.resetCode == nil)
  }

  @Test("an answer that nothing asked for breaks the rules", arguments: [0, 1, 9])
  func strayAnswer(number: UInt64) throws {
    let scene = try Scene()
    scene.answer(number, .listening, at: Self.far)
    scene.world.wait { scene.server.error != nil }
    #expect(scene.server.error?.applicationCode == TunnelCode.protocolViolation)
  }

  @Test("a server without the ability is not asked")
  func withoutAbility() throws {
    let scene = try Scene(capabilities: 0, answers: false)
    var outcome: TunnelError??
    scene.world.link.remoteListeners?.whenSettled { outcome = $0 }
    guard case .remoteListenRefused(Self.far, .notAllowed)?? = outcome else {
      Issue.record("\(String(describing: outcome))")
      return
    }
    scene.world.loop.run(for: .seconds(1))
    #expect(scene.listens.isEmpty)
    // And it may open no stream of a listener: it has none.
    let stray = try scene.server.open(
      sending: ReverseHeader(listener: 0, source: .loopbackIPv4).encoded)
    scene.world.wait { stray.resetCode == TunnelCode.unknownListener }
  }

  @Test("a session that is lost first settles it")
  func lostBeforeAnswer() throws {
    let scene = try Scene(answers: false)
    var outcome: TunnelError??
    scene.world.link.remoteListeners?.whenSettled { outcome = $0 }
    #expect(outcome == nil)
    scene.server.connection?.close(code: TunnelCode.shuttingDown, reason: "bye")
    scene.world.wait { outcome != nil }
    guard case .ended("bye")?? = outcome else {
      Issue.record("\(String(describing: outcome))")
      return
    }
  }

  @Test(
    "a share that was started again is asked for the same port, until it is back, and no longer",
    arguments: [false, true])
  func reconnect(isHeld: Bool) throws {
    let world = try TunnelWorld {
      $0.retry = .afterLoss
      $0.listenRules = "*"
      $0.remoteListeners = [
        RemoteListener(address: Self.far.with(port: 0), target: .tcp([SimTargets.web]))
      ]
    }
    world.linkTargets.onAccept = { $0.echoes = true }
    try world.open()
    world.wait { world.linkJournal.listening.count == 1 }
    let address = world.linkJournal.listening[0]
    if isHeld { world.listeners.unusable[address] = EADDRINUSE }
    try world.restartShare()
    if isHeld {
      world.wait { world.linkJournal.listenRefusals >= 2 }
      world.listeners.unusable = [:]
    }
    world.wait { world.linkJournal.listening == [address, address] }
    let program = try #require(world.listeners.connect(to: address))
    program.send([1])
    world.wait { program.received == [1] }
    world.loop.run(for: .seconds(10))
    #expect(world.linkJournal.listening.count == 2)
    #expect(world.link.statistics.sessions == 2 && world.errors.isEmpty)
  }

  /// A link, and a server of our own making that let it in.
  private struct Scene {
    let world: TunnelWorld
    let server: RawPeer

    init(
      address: SocketAddress = far,
      capabilities: UInt64 = ControlMessage.Capability.reverseListening, answers: Bool = true
    ) throws {
      let at = SocketAddress.otherHost.with(port: 4_433)
      world = try TunnelWorld {
        $0.addresses = [at]
        $0.remoteListeners = [RemoteListener(address: address, target: .tcp([SimTargets.web]))]
      }
      server = try RawPeer(
        loop: world.loop, socket: world.network.bind(at), identity: TunnelWorld.shareIdentity,
        acceptsConnections: true)
      server.onOpened = { recorder in
        let welcome = ControlMessage.Welcome(
          version: 1, capabilities: capabilities,
          services: [ControlMessage.Service(name: "", port: 1)])
        try? recorder.stream.write(ControlMessage.welcome(welcome).encoded)
      }
      world.link.start()
      world.wait { [world] in world.openedCount == 1 }
      guard answers else { return }
      let scene = self
      world.wait { scene.listens.count == 1 }
      answer(0, .listening, at: far)
      world.wait { [world] in world.linkJournal.listening == [far] }
    }

    /// What the server was asked for.
    var listens: [ControlMessage.Listen] {
      (server.streams.first?.messages ?? []).compactMap {
        if case .listen(let listen) = $0 { listen } else { nil }
      }
    }

    func answer(_ number: UInt64, _ status: ListenStatus, at address: SocketAddress) {
      let answer = ControlMessage.Listening(number: number, status: status, address: address)
      try? server.streams[0].stream.write(ControlMessage.listening(answer).encoded)
    }

    /// A flow of the listener that was asked for still works.
    func expectAlive() throws {
      let flow = try server.open(
        sending: ReverseHeader(listener: 0, source: .loopbackIPv4).encoded + [7])
      world.wait { [world] in world.linkTargets.programs.last?.received == [7] }
      #expect(flow.resetCode == nil && server.error == nil)
    }
  }
}
